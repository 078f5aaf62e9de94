/** The node that is measured: the one of the end-to-end tests, with a connection to its API and its processes' memory. */

import { cp, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { TaskDetail } from '../src/api/resources.ts'
import { openClient, type Client } from '../src/client/client.ts'
import type { Digest } from '../src/core/digest.ts'
import type { Isolation } from '../src/core/task.ts'
import { ROOT, TestNode } from '../tests/e2e/harness.ts'

import { requestOnce, type Answer, type Target } from './http.ts'

/** Never idle long enough to be paused or stopped while something is measured. */
export const ALWAYS_ON = 'pause_after = "never"\nstop_after = "never"'
const POLL_MS = 10
const STATE_TIMEOUT_MS = 30_000
/** From the end of the last process of an instance until the machine is quiet again. */
const SETTLE_MS = 20

export class BenchNode implements AsyncDisposable {
  readonly processes: TestNode
  readonly client: Client

  private constructor(processes: TestNode) {
    this.processes = processes
    const address = { kind: 'unix', path: path.join(processes.run, 'api.sock') } as const
    this.client = openClient({ address, token: undefined })
  }

  static async start(...flags: readonly string[]): Promise<BenchNode> {
    return new BenchNode(await TestNode.start(...flags))
  }

  /**
   * Deploys a copy of an example.
   *
   * @param scale  lines of `[scale]`, instead of its own
   * @param flags  more of `quiver deploy`
   * @returns the copy
   */
  async deployExample(
    example: string,
    scale: string,
    name = example,
    ...flags: readonly string[]
  ): Promise<string> {
    const folder = await mkdtemp(path.join(this.processes.folder, 'app-'))
    await cp(path.join(ROOT, 'examples', example), folder, { recursive: true })
    const manifest = path.join(folder, 'quiver.toml')
    const others = (await readFile(manifest, 'utf8')).replace(/^\[scale\]\n(?:(?!\[).*\n)*/m, '')
    await writeFile(manifest, `${others}\n[scale]\n${scale}\n`)
    await this.processes.ok('deploy', folder, '--name', name, ...flags)
    return folder
  }

  target(task: string): Target {
    return { port: this.processes.httpPort, host: `${task}.localhost` }
  }

  async request(task: string): Promise<Answer> {
    return await requestOnce(this.target(task))
  }

  async describe(name: string): Promise<TaskDetail> {
    return await this.client.call('getTask', { params: { name } }, new AbortController().signal)
  }

  /** Resolves when the task is in a state, and its processes have had time to go. */
  async untilState(name: string, state: TaskDetail['state']): Promise<void> {
    const deadlineMs = performance.now() + STATE_TIMEOUT_MS
    for (;;) {
      const detail = await this.describe(name)
      if (detail.state === state) break
      if (performance.now() > deadlineMs) {
        throw new Error(`${name} did not become ${state}: ${JSON.stringify(detail, null, 2)}`)
      }
      await delay(POLL_MS)
    }
    await delay(SETTLE_MS)
  }

  /** Deploys an image that the node has under one more name. */
  async deployAs(name: string, image: Digest, isolation?: Isolation): Promise<void> {
    const body = { image, name, ...(isolation === undefined ? {} : { overrides: { isolation } }) }
    await this.client.call('deploy', { body }, new AbortController().signal)
  }

  /** Ends the node and starts it again; the port is another one then. */
  async restart(): Promise<void> {
    await this.processes.down()
    await this.processes.up()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]()
    await this.processes[Symbol.asyncDispose]()
  }
}

/**
 * What processes take of the machine's memory, as if nothing else ran on it: all private pages, and of each file that
 * they map the largest resident part. (The kernel's own proportional size divides the pages of Node.js among all Node
 * processes of the machine, this benchmark and strangers included.)
 */
export async function memoryBytes(pids: readonly number[]): Promise<number> {
  const files = new Map<string, number>()
  let anonymous = 0
  for (const pid of pids) {
    const own = await readMappings(pid)
    anonymous += own.anonymous
    for (const [file, bytes] of own.files) files.set(file, Math.max(files.get(file) ?? 0, bytes))
  }
  return anonymous + files.values().reduce((sum, bytes) => sum + bytes, 0)
}

interface Mappings {
  readonly anonymous: number
  /** Clean resident bytes by path. */
  readonly files: ReadonlyMap<string, number>
}

async function readMappings(pid: number): Promise<Mappings> {
  const files = new Map<string, number>()
  let anonymous = 0
  let file = ''
  for (const line of (await readFile(`/proc/${pid}/smaps`, 'utf8')).split('\n')) {
    const header = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$/.exec(line)
    if (header !== null) file = header[1] ?? ''
    const [, key, kib] = /^(Rss|Anonymous): +(\d+) kB$/.exec(line) ?? []
    const bytes = Number(kib) * 1024
    const isFile = file.startsWith('/')
    if (key === 'Anonymous') anonymous += bytes
    if (key === 'Anonymous' && isFile) files.set(file, (files.get(file) ?? 0) - bytes)
    if (key === 'Rss' && isFile) files.set(file, (files.get(file) ?? 0) + bytes)
  }
  return { anonymous, files }
}

export interface ProcessInfo {
  readonly pid: number
  readonly parent: number
  /** Its short name. */
  readonly command: string
}

/** The process and everything below it. */
export async function processTree(root: number): Promise<readonly ProcessInfo[]> {
  const all = await listProcesses()
  const tree = all.filter(({ pid }) => pid === root)
  for (const { pid } of tree) tree.push(...all.filter(({ parent }) => parent === pid))
  return tree
}

async function listProcesses(): Promise<readonly ProcessInfo[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(names.map((name) => readProcess(Number(name))))
  return found.filter((info) => info !== undefined)
}

async function readProcess(pid: number): Promise<ProcessInfo | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [, command = '', parent = ''] = /\((.*)\) \S (\d+)/s.exec(stat) ?? []
  return stat === '' ? undefined : { pid, parent: Number(parent), command }
}
