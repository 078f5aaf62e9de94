/** Programs that a benchmark needs beside the node: where they run, and that they are installed. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { promisify } from 'node:util'

import { freePort, untilAnswered, type Target } from './http.ts'
import { say } from './measure.ts'

const run = promisify(execFile)

/** Runs a program to its end. @returns stdout */
export async function capture(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args])
  return stdout
}

/** Installs a Debian package unless its program is there. */
export async function requirePackage(name: string, program: string): Promise<void> {
  if (await isThere(program)) return
  say(`installs ${name}, the peer of this suite`)
  await capture('apt-get', 'install', '-q', '-y', '--no-install-recommends', name)
}

export async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  )
}

/** Moves a process, all its threads and those they make later to one core. */
export async function pin(pid: number, core: number): Promise<void> {
  await capture('taskset', '-a', '-c', '-p', String(core), String(pid))
}

/** A server on one core; it answers on the port when this resolves, and ends with the value. */
export async function startPinned(
  core: number,
  port: number,
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<AsyncDisposable> {
  return await startServer(port, ['taskset', '-c', String(core), ...command], undefined, env)
}

/** The same wherever the kernel puts it. */
export async function startServer(
  port: number,
  [program = '', ...args]: readonly string[],
  folder?: string,
  env: NodeJS.ProcessEnv = {},
): Promise<AsyncDisposable> {
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit').then(([status]) => {
    throw new Error(`${program} ended with ${status} before it answered`)
  })
  await Promise.race([untilAnswered({ port, host: 'localhost' }), ended])
  ended.catch(() => {})
  return {
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Milliseconds of a server from exec to its first 200. `spawn` returns when exec has happened. */
export async function timeBare(
  [program = '', ...args]: readonly string[],
  cwd: string,
): Promise<number> {
  const port = await freePort()
  const env = { ...process.env, PORT: String(port), GREETING: 'hello' }
  const child = spawn(program, args, { cwd, env, stdio: 'ignore' })
  const startMs = performance.now()
  const answeredMs = await untilAnswered({ port, host: 'localhost' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  return answeredMs - startMs
}

export interface Throughput {
  readonly perSecond: number
  /** Of the latency, in milliseconds. */
  readonly p99Ms: number
}

/** Asks as fast as it is answered, on so many connections. @param prefix  before the generator, such as `taskset -c 1` */
export async function measureThroughput(
  { port, host }: Target,
  connections: number,
  seconds: number,
  prefix: readonly string[] = [],
): Promise<Throughput> {
  const [program, ...args] = [
    ...prefix,
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    '-H',
    `Host: ${host}`,
    `http://127.0.0.1:${port}/`,
  ]
  const text = await capture(program, ...args)
  const problem = /Non-2xx.*|Socket errors.*/.exec(text)
  if (problem !== null) say(`wrk: ${problem[0]}`)
  const [, value = '0', unit = 'ms'] = / 99% +([\d.]+)(us|ms|s)/.exec(text) ?? []
  return {
    perSecond: Number(/Requests\/sec: +([\d.]+)/.exec(text)?.[1] ?? 0),
    p99Ms: Number(value) * (MS_PER[unit] ?? 1),
  }
}

const MS_PER: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 }
