/** Programs of this machine that a command runs on the way, such as a build: their output is progress. */

import { spawn } from 'node:child_process'

import type { CliContext } from './context.ts'

interface Options {
  readonly cwd?: string
  /** Over the caller's own; undefined takes a variable away. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Without input; all it writes goes to stderr, for stdout is for results. Ended by the context's signal.
 *
 * @returns its exit status; null when a signal ended it
 * @throws Error when it cannot be run
 */
export async function runLoudly(
  context: CliContext,
  program: string,
  args: readonly string[],
  { cwd = context.folder, env }: Options,
): Promise<number | null> {
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  const child = spawn(program, [...args], {
    cwd,
    env: { ...context.process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: context.signal,
  })
  for (const output of [child.stdout, child.stderr]) {
    output.on('data', (chunk: Uint8Array) => context.process.stderr.write(chunk))
  }
  child.once('error', reject)
  child.once('close', resolve)
  return await promise
}
