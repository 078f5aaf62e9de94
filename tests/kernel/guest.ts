/** A guest that runs a program of this machine on our kernel: a disk with the program as it is, and a shell that starts it. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { MachineRoom } from '../fixtures/machine.ts'

const execute = promisify(execFile)
const MIB = 1024 ** 2
const FOLDERS = ['abi', 'bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr/bin', 'var/log']
const ETC = {
  hosts: '127.0.0.1 localhost\n::1 localhost\n',
  passwd: 'root:x:0:0:root:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  group: 'root:x:0:\nnogroup:x:65534:\n',
} as const

/** What a program may expect below its root, besides its files. */
const MOUNTS = [
  'mount -t erofs -o ro /dev/vda /disk',
  'mount -t tmpfs -o mode=1777 none /disk/tmp',
  'mount -t tmpfs none /disk/run',
  'mount -t proc none /disk/proc',
  'mount -t sysfs none /disk/sys',
  'mount -t devtmpfs none /disk/dev',
  'mkdir -p /disk/dev/pts /disk/dev/shm /disk/dev/mqueue',
  'mount -t devpts -o ptmxmode=0666 none /disk/dev/pts',
  'mount -t tmpfs none /disk/dev/shm',
  'mount -t mqueue none /disk/dev/mqueue',
  'ip link set lo up',
].join('\n')

/** A tree of files that becomes a disk. */
export class Disk implements AsyncDisposable {
  readonly folder: string
  readonly #tree: string
  readonly #libraries = new Set<string>()

  private constructor(folder: string) {
    this.folder = folder
    this.#tree = path.join(folder, 'tree')
  }

  /** With busybox, its shell, and what is in /etc. */
  static async open(): Promise<Disk> {
    const disk = new Disk(await mkdtemp(path.join(tmpdir(), 'quiver-guest-')))
    await chmod(disk.folder, 0o711)
    for (const name of FOLDERS) await mkdir(path.join(disk.#tree, name), { recursive: true })
    for (const [name, text] of Object.entries(ETC)) await disk.write(`/etc/${name}`, text)
    await disk.add('/bin/busybox')
    for (const name of ['sh', 'wget', 'sleep', 'cat', 'grep', 'dmesg', 'uname', 'reboot']) {
      await symlink('busybox', path.join(disk.#tree, 'bin', name))
    }
    return disk
  }

  /** A file or a folder of this machine, with the libraries that it needs. @param to  by default where it is here */
  async add(from: string, to = from): Promise<void> {
    await mkdir(path.dirname(this.at(to)), { recursive: true })
    await cp(from, this.at(to), { recursive: true, dereference: true })
    await this.#addLibraries(from)
  }

  async write(file: string, text: string): Promise<void> {
    await writeFile(this.at(file), text)
  }

  /** Where a path of the disk is while it is made. */
  at(file: string): string {
    return path.join(this.#tree, file)
  }

  /** @returns the path of the finished disk */
  async build(): Promise<string> {
    const file = path.join(this.folder, 'disk.erofs')
    await execute('mkfs.erofs', ['--quiet', '-T0', '--all-root', file, this.#tree])
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }

  async #addLibraries(from: string): Promise<void> {
    // For a folder, those of all libraries and programs in it. What is not an ELF file makes ldd fail, and has none.
    const { stdout } = await execute('sh', [
      '-c',
      `find -L "$1" -type f '(' -perm -100 -o -name '*.so*' ')' -exec ldd {} + 2>/dev/null || true`,
      'sh',
      from,
    ])
    const found = [...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, file = '']) => file)
    for (const file of found) {
      if (this.#libraries.has(file) || existsSync(this.at(file))) continue
      this.#libraries.add(file)
      await mkdir(path.dirname(this.at(file)), { recursive: true })
      await cp(file, this.at(file), { dereference: true })
    }
  }
}

/** What the guest prints last, before its status. */
const END = 'the guest ends with'

export interface Ended {
  readonly console: string
  /** Of the shell; null: it never got so far. */
  readonly status: number | null
}

interface Options {
  readonly kernel: string
  readonly cpus: number
  /** Ends the machine. */
  readonly signal: AbortSignal
}

/** Boots `disk`, runs `script` in it as root, and waits until the machine has ended. */
export async function runInGuest(
  disk: string,
  script: string,
  { kernel, cpus, signal }: Options,
): Promise<Ended> {
  await using room = await MachineRoom.open()
  const main = `export PATH=/usr/bin:/bin\n(\n${script}\n)\necho "${END} $?"\nreboot -f\n`
  // Its root becomes the disk, and is not below another one: what is below another root gets no namespaces of its own.
  const start = `cat >/disk/run/main <<'EOF'\n${main}EOF\nexec switch_root /disk /bin/sh /run/main`
  const initramfs = await room.guest(`${MOUNTS}\n${start}`)
  const machine = room.start(
    room.plan({ initramfs, kernel, cpus, disks: [disk], memoryBytes: 512 * MIB }),
  )
  const kill = () => machine.kill()
  signal.addEventListener('abort', kill, { once: true })
  await machine.ended
  signal.removeEventListener('abort', kill)
  const console = machine.console.replaceAll('\r', '')
  const [said = '', ended] = console.split(`${END} `)
  return {
    console: said + machine.errors,
    status: ended === undefined ? null : Number.parseInt(ended, 10),
  }
}
