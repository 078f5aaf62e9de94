/**
 * A node of its own for a test: real processes, started and used as a user does, in folders that go with it.
 *
 * Disposing it ends the node as Ctrl-C would, and fails the test when anything was left behind.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'

import type { TaskDetail, TaskView } from '../../src/api/resources.ts'
import { runFolder } from '../../src/config/folders.ts'

export const ROOT = path.join(import.meta.dirname, '../..')
const QUIVER = path.join(ROOT, 'bin/quiver')
const DEADLINE_MS = 60_000

export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface HttpResult {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** `cold`, `resumed` or `warm`, as the proxy says. */
  readonly start: string | undefined
}

/** The four processes of a node, by name. */
export type ProcessName = 'supervise' | 'control' | 'proxy' | 'egress'

export class TestNode implements AsyncDisposable {
  readonly folder: string
  readonly data: string
  readonly run: string
  readonly #flags: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  /** What the node's processes see as /etc/hosts. */
  #hostsFile: string | undefined
  #child: ReturnType<typeof spawn> | undefined
  /** Everything the node's processes wrote to stderr, for messages of failed tests. */
  log = ''
  httpPort = 0

  private constructor(folder: string, flags: readonly string[], env: NodeJS.ProcessEnv) {
    this.folder = folder
    this.data = path.join(folder, 'data')
    this.run = runFolder(this.data, process.env, process.getuid?.() ?? 0)
    this.#flags = flags
    this.#env = env
  }

  /** @param flags  more of `quiver up` */
  static async start(...flags: readonly string[]): Promise<TestNode> {
    return await TestNode.startWith({}, ...flags)
  }

  /** @param env  more of it, for the node and for all commands that are run on it */
  static async startWith(env: NodeJS.ProcessEnv, ...flags: readonly string[]): Promise<TestNode> {
    const node = new TestNode(await makeFolder(), flags, env)
    await node.up()
    return node
  }

  /** A node on a machine with other names than this one: in a mount namespace of its own, which only root may make. */
  static async startWithHosts(hosts: string): Promise<TestNode> {
    const node = new TestNode(await makeFolder(), [], {})
    node.#hostsFile = path.join(node.folder, 'hosts')
    await writeFile(node.#hostsFile, hosts)
    await node.up()
    return node
  }

  get env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.#env, QUIVER_DATA: this.data, NO_COLOR: '1' }
  }

  /** Starts the node, again after it ended; resolves when its sockets are bound. */
  async up(): Promise<void> {
    const listen = ['--listen-http', '127.0.0.1:0']
    if (!this.#flags.includes('--listen-https')) listen.push('--listen-https', 'off')
    const [program, ...args] = [...this.#mounting(), QUIVER, 'up', ...listen, ...this.#flags]
    assert.ok(program !== undefined)
    const child = spawn(program, args, {
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let output = ''
    const hear = (chunk: Buffer): void => {
      output += String(chunk)
      this.log += String(chunk)
      const [, port] = /^http +127\.0\.0\.1:(\d+)$/m.exec(output) ?? []
      if (port === undefined) return
      this.httpPort = Number(port)
      resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('exit', () => reject(new Error(`the node did not start:\n${this.log}`)))
    await promise
    // The first answer of the API is the end of control's start.
    await this.quiver('ps')
  }

  /** Ends the node as Ctrl-C does, and waits for it. */
  async down(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }

  /** Runs the command line as a user does, from the project's folder. */
  async quiver(...args: readonly string[]): Promise<CommandResult> {
    return await this.quiverWith({}, ...args)
  }

  async quiverWith(
    options: { readonly input?: string; readonly cwd?: string; readonly env?: NodeJS.ProcessEnv },
    ...args: readonly string[]
  ): Promise<CommandResult> {
    const child = spawn(QUIVER, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...this.env, ...options.env },
      timeout: DEADLINE_MS,
    })
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    return { status: child.exitCode, stdout, stderr }
  }

  /** As `quiver`, and fails unless it succeeds. @returns stdout */
  async ok(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.quiver(...args)
    assert.equal(status, 0, `quiver ${args.join(' ')}: ${stderr}\n${this.log}`)
    return stdout
  }

  async ps(): Promise<readonly TaskView[]> {
    return JSON.parse(await this.ok('ps', '--json'))
  }

  async describe(task: string): Promise<TaskDetail> {
    return JSON.parse(await this.ok('describe', task, '--json'))
  }

  /** Deploys a folder of `examples/`. */
  async deployExample(name: string, ...flags: readonly string[]): Promise<void> {
    await this.ok('deploy', path.join(ROOT, 'examples', name), ...flags)
  }

  /** Writes files into a folder of its own, and deploys it. @returns the folder */
  async deployFiles(
    files: Readonly<Record<string, string>>,
    ...flags: readonly string[]
  ): Promise<string> {
    const folder = await this.writeFiles(files)
    await this.ok('deploy', folder, ...flags)
    return folder
  }

  async writeFiles(files: Readonly<Record<string, string>>): Promise<string> {
    const folder = await mkdtemp(path.join(this.folder, 'app-'))
    for (const [name, content] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
      await writeFile(path.join(folder, name), content)
    }
    return folder
  }

  /** A request to a task's default host. */
  async get(task: string, target = '/', options: RequestOptions = {}): Promise<HttpResult> {
    return await this.request(`${task}.localhost`, target, options)
  }

  async request(
    host: string,
    target: string,
    options: RequestOptions = {},
    body = '',
  ): Promise<HttpResult> {
    const outgoing = request({
      host: '127.0.0.1',
      port: this.httpPort,
      path: target,
      agent: false,
      ...options,
      headers: Object.assign({ host }, options.headers),
    })
    const { promise, resolve, reject } = Promise.withResolvers<HttpResult>()
    outgoing.on('error', reject)
    outgoing.setTimeout(DEADLINE_MS, () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('response', (answer) => {
      text(answer).then((content) => {
        const [, start] = /quiver;desc=(\w+)/.exec(String(answer.headers['server-timing'])) ?? []
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: content, start })
      }, reject)
    })
    outgoing.end(body)
    return await promise
  }

  /** Pids of a process of the node; read from /proc, as an operator would with ps. */
  async pid(name: ProcessName): Promise<number> {
    for (const pid of await this.#pids()) {
      const command = await commandOf(pid)
      const isSupervisor = name === 'supervise' && command.includes(`supervise ${this.run}/`)
      const isDaemon = command.includes(`/daemon/${name}.`) && command.includes(`"${this.run}"`)
      if (isSupervisor || isDaemon) return pid
    }
    throw new Error(`${name} does not run:\n${this.log}`)
  }

  /** Resolves when `look` gives something, asked again after each event of the node. */
  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS
    for (;;) {
      const found = await look().catch(() => undefined)
      if (found !== undefined) return found
      if (Date.now() > deadline) throw new Error(`${what} did not happen:\n${this.log}`)
      // Processes come and go without telling us: a look costs little, and its end is bounded.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
    const left = await this.leftovers()
    await rm(this.folder, { recursive: true, force: true })
    assert.deepEqual(left, [], 'the node left something behind')
  }

  /** Processes, mounts and the folder of sockets that belong to this node. */
  async leftovers(): Promise<readonly string[]> {
    const processes: string[] = []
    for (const pid of await this.#pids()) {
      const command = await commandOf(pid)
      const isOurs = command.includes(this.data) || command.includes(`${this.run}/`)
      if (isOurs && pid !== this.#child?.pid)
        processes.push(`process ${pid}: ${command.slice(0, 100)}`)
    }
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .filter((line) => line.includes(this.folder) || line.includes(this.run))
    return [...processes, ...mounts, ...(existsSync(this.run) ? [this.run] : [])]
  }

  #mounting(): readonly string[] {
    if (this.#hostsFile === undefined) return []
    const script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return ['unshare', '--mount', 'sh', '-c', script, this.#hostsFile]
  }

  async #pids(): Promise<readonly number[]> {
    const names = await readdir('/proc')
    return names.map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid)
  }
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-e2e-'))
  // Instances run as other users and are mounted from below here.
  await chmod(folder, 0o711)
  return folder
}

async function commandOf(pid: number): Promise<string> {
  const bytes = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return bytes.replaceAll('\0', ' ')
}
