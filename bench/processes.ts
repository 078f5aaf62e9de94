/** Programs that a benchmark needs beside the node: where they run, and that they are installed. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { promisify } from 'node:util'

import { untilAnswered } from './http.ts'
import { say } from './measure.ts'

const run = promisify(execFile)

/** Runs a program to its end. @returns stdout */
export async function capture(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args])
  return stdout
}

/** Installs a Debian package unless its program is there. */
export async function requirePackage(name: string, program: string): Promise<void> {
  const isThere = await access(program).then(
    () => true,
    () => false,
  )
  if (isThere) return
  say(`installs ${name}, the peer of this suite`)
  await capture('apt-get', 'install', '-q', '-y', '--no-install-recommends', name)
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
  const child = spawn('taskset', ['-c', String(core), ...command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await untilAnswered({ port, host: 'localhost' })
  return {
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
