/** The build with a source of a few files that has the targets of Linux's: everything else is as with the real one. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

import { buildKernel, type Built, type Progress } from './build.ts'
import { listKernels } from './kernels.ts'
import { listPatches } from './recipe.ts'
import { findMissing } from './requirements.ts'

const execute = promisify(execFile)

const MAKEFILE = [
  'tinyconfig olddefconfig:',
  '\t@true',
  'bzImage: arch/x86/kernel/apic/apic.c',
  '\t@echo "  CC      main.o"; [ ! -e gate ] || { touch reached; cat gate; }',
  '\t@echo "int main(void) { return 0; }" >main.c; gcc -o vmlinux main.c',
  '\t@mkdir -p include/config arch/x86/boot; echo 6.1.1-quiver >include/config/kernel.release',
  '\t@echo "$(KBUILD_BUILD_USER) $(USER)" >arch/x86/boot/bzImage; echo "0 T _text" >System.map',
  '',
].join('\n')
const MERGE = '#!/bin/sh\ncp "$3" "$2"\n'

const tools = (await findMissing('/')).map(({ name }) => name)
const skip = tools.length > 0 ? `this machine has no ${tools.join(', ')}` : false

suite('building a kernel', { skip }, () => {
  let folder: string
  let sources: string
  before(async () => {
    sources = await mkdtemp(path.join(tmpdir(), 'quiver-source-'))
  })
  after(() => rm(sources, { recursive: true }))
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'quiver-kernels-'))
  })
  afterEach(() => rm(folder, { recursive: true, maxRetries: 3 }))

  /** An archive of what the build expects of Linux's source. */
  async function pack(name: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
    const tree = path.join(sources, name)
    const all = {
      Makefile: MAKEFILE,
      'scripts/kconfig/merge_config.sh': MERGE,
      ...(await patched()),
      ...files,
    }
    for (const [file, text] of Object.entries(all)) {
      await mkdir(path.dirname(path.join(tree, file)), { recursive: true })
      await writeFile(path.join(tree, file), text, { mode: 0o755 })
    }
    const archive = path.join(sources, `${name}.tar.xz`)
    await execute('tar', ['-cJf', archive, '-C', sources, name])
    return archive
  }

  async function build(source: string, stages: string[] = []): Promise<Built> {
    const onProgress = ({ stage }: Progress) => {
      if (stages.at(-1) !== stage) stages.push(stage)
    }
    return buildKernel({ folder, source, onProgress }, AbortSignal.timeout(60_000))
  }

  test('a kernel appears with its files, and what it was made in is gone', async () => {
    const stages: string[] = []
    const { kernel, isNew } = await build(await pack('linux'), stages)
    assert.equal(isNew, true)
    assert.equal(kernel.release, '6.1.1-quiver')
    assert.deepEqual(stages, ['unpack', 'configure', 'compile', 'store'])
    const names = await readdir(path.dirname(kernel.path))
    assert.deepEqual(names.toSorted(), [
      'System.map',
      'bzImage',
      'config',
      'kernel.json',
      'vmlinux',
    ])
    assert.deepEqual((await listKernels(folder))[0], kernel)
    assert.deepEqual(await leftovers(), [])
    // Nothing of the environment of whoever builds is in it.
    const image = await readFile(path.join(path.dirname(kernel.path), 'bzImage'), 'utf8')
    assert.equal(image, 'quiver \n')
  })

  test('what is built already is not built again', async () => {
    const source = await pack('linux')
    const first = await build(source)
    const second = await build(source)
    assert.equal(second.isNew, false)
    assert.deepEqual(second.kernel, first.kernel)
  })

  test('of two builds at once one compiles, and the other one finds what it made', async () => {
    const source = await pack('linux')
    const built = await Promise.all([build(source), build(source)])
    assert.deepEqual(built.filter(({ isNew }) => isNew).length, 1)
    assert.equal(built[0].kernel.digest, built[1].kernel.digest)
  })

  test('another source makes another kernel', async () => {
    await build(await pack('linux'))
    const { isNew } = await build(await pack('newer', { README: 'newer' }))
    assert.equal(isNew, true)
    assert.equal((await listKernels(folder)).length, 2)
  })

  test('a compiler that fails is told with what it said last, and leaves nothing but the log', async () => {
    const Makefile = MAKEFILE.replace('@true', '@echo cannot configure; false')
    const source = await pack('broken', { Makefile })
    await assert.rejects(build(source), (thrown: Error & { reason?: string; hint?: string }) => {
      assert.equal(thrown.reason, 'KERNEL_BUILD_FAILED')
      assert.match(thrown.message, /cannot configure/)
      assert.match(thrown.hint ?? '', /build\.log/)
      return true
    })
    assert.deepEqual(await leftovers(), [])
    assert.match(await readFile(path.join(folder, 'build.log'), 'utf8'), /> make tinyconfig/)
  })

  test('an option that the source does not take is named', async () => {
    const merge = '#!/bin/sh\ngrep -v CONFIG_EPOLL "$3" >"$2"\n'
    const source = await pack('older', { 'scripts/kconfig/merge_config.sh': merge })
    await assert.rejects(build(source), {
      reason: 'KERNEL_OPTION_REFUSED',
      message: /CONFIG_EPOLL=y/,
    })
  })

  test('a source that is not there is named, with the package that has one', async () => {
    await assert.rejects(build('/nowhere.tar.xz'), {
      reason: 'KERNEL_TOOLS_MISSING',
      message: /without \/nowhere\.tar\.xz, the source of Linux 6\.1/,
      hint: /linux-source-6\.1/,
    })
  })

  test('one that is killed while it compiles leaves no kernel and no compiler, and the next one works', async () => {
    // Compiling waits at the gate, a FIFO, until somebody writes to it.
    const source = await pack('gated', {
      Makefile: MAKEFILE.replace('bzImage:', 'bzImage: makegate').concat(
        'makegate:\n\t@mkfifo gate\n',
      ),
    })
    const script = `
      import { buildKernel } from ${JSON.stringify(path.join(import.meta.dirname, 'build.ts'))}
      const [folder, source] = process.argv.slice(2)
      await buildKernel({ folder, source, onProgress() {} }, new AbortController().signal)`
    const entry = path.join(sources, 'builder.ts')
    await writeFile(entry, script)
    const builder = spawn(process.execPath, [entry, folder, source], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const exited = once(builder, 'exit')
    const work = await until(async () => {
      const [name] = await leftovers()
      const tree = path.join(folder, name ?? '', 'linux')
      const names: readonly string[] = await readdir(tree).catch(() => [])
      return names.includes('reached') ? tree : undefined
    })
    builder.kill('SIGKILL')
    await exited
    assert.deepEqual(await listKernels(folder), [])
    await until(async () => ((await processesIn(work)).length === 0 ? true : undefined))

    const { isNew } = await build(await pack('linux'))
    assert.equal(isNew, true)
    assert.deepEqual(await leftovers(), [])
  })

  async function leftovers(): Promise<readonly string[]> {
    return (await readdir(folder)).filter((name) => name.startsWith('.'))
  }
})

/** What our patches expect to find: the lines that they leave as they are, and those that they take away. */
async function patched(): Promise<Readonly<Record<string, string>>> {
  const texts = await Promise.all((await listPatches()).map((file) => readFile(file, 'utf8')))
  return Object.fromEntries(
    texts.map((text) => {
      const [, file = ''] = /^--- a\/(.*)$/m.exec(text) ?? []
      const lines = [...text.slice(text.indexOf('\n@@')).matchAll(/^[ -](.*)$/gm)]
      return [file, lines.map(([, line]) => `${line}\n`).join('')]
    }),
  )
}

/** Ids of processes whose working folder is below `folder`, or was. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const folders = await Promise.all(ids.map((id) => readlink(`/proc/${id}/cwd`).catch(() => '')))
  return ids.filter((_, index) => folders[index]?.startsWith(folder))
}

/** Looks until there is something. @throws when there is nothing for a minute */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const signal = AbortSignal.timeout(60_000)
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await delay(20, undefined, { signal })
  }
}
