/** How long the command line takes when it has nothing to do: its start, which every command pays. */

import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'

import { reportDurations } from './measure.ts'
import type { BenchOptions } from './suite.ts'

const RUNS = 50
const QUIVER = path.join(import.meta.dirname, '../bin/quiver')

const execute = promisify(execFile)

export async function run({ n = RUNS }: BenchOptions): Promise<void> {
  const [ours, bare]: [number[], number[]] = [[], []]
  // The first start of all compiles; users wait for it once.
  await measure(QUIVER, 'version')
  for (let index = 0; index < n; index++) {
    ours.push(await measure(QUIVER, 'version'))
    bare.push(await measure(process.execPath, '-e', '0'))
  }
  reportDurations('cli.version', ours, { name: 'node -e 0', samples: bare })
}

/** Milliseconds from starting a program to its end. */
async function measure(program: string, ...args: readonly string[]): Promise<number> {
  const beganMs = performance.now()
  await execute(program, args)
  return performance.now() - beganMs
}
