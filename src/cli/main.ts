/** The entry of `quiver`: makes the context of this process, runs one command, sets the exit status. */

import { proposeCompletions, run } from '@stricli/core'

import { CODES, QuiverError } from '../core/error.ts'

import { app } from './app.ts'
import type { CliContext } from './context.ts'
import { takeGlobals } from './globals.ts'
import { renderError } from './print.ts'

await main()

async function main(): Promise<void> {
  // `quiver … | head` is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  try {
    const { argv, env } = takeGlobals(withHelp(process.argv.slice(2)))
    Object.assign(process.env, env)
    const context = buildContext()
    if (process.env['QUIVER_COMPLETE'] === '1') return await complete(argv, context)
    await run(app, argv, context)
    process.exitCode = translateStatus(context.process.exitCode)
  } catch (thrown) {
    process.stderr.write(`${renderError(thrown)}\n`)
    process.exitCode = CODES[QuiverError.from(thrown).code].exit
  }
}

/** `help deploy` is `deploy --help`, as people expect of tools with verbs. */
function withHelp([first, ...rest]: readonly string[]): readonly string[] {
  if (first === undefined) return []
  return first === 'help' ? [...rest, '--help'] : [first, ...rest]
}

/** The command line parser has negative statuses of its own: wrong use, or a bug. */
function translateStatus(status: CliContext['process']['exitCode']): number {
  if (typeof status !== 'number') return 0
  if (status >= 0) return status
  const isUsage = status === -4 || status === -5
  return isUsage ? CODES.invalid_argument.exit : CODES.internal.exit
}

async function complete(argv: readonly string[], context: CliContext): Promise<void> {
  const proposals = await proposeCompletions(app, argv, context)
  const words = proposals.map(({ completion }) => completion).filter((word) => word !== '--')
  for (const word of words) process.stdout.write(`${word}\n`)
}

function buildContext(): CliContext {
  const controller = new AbortController()
  type Listener = Parameters<CliContext['takeSignals']>[0]
  let listener: Listener | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (listener !== undefined) return listener(signal)
      // Whoever asks twice does not want to wait.
      if (controller.signal.aborted) process.exit(CODES.canceled.exit)
      controller.abort(new QuiverError('canceled', 'INTERRUPTED', 'interrupted'))
    })
  }
  const { stdout, stderr, env } = process
  return {
    process: { stdout, stderr, env },
    stdin: process.stdin,
    folder: process.cwd(),
    signal: controller.signal,
    takeSignals: (taken) => {
      listener = taken
      return {
        [Symbol.dispose]: () => {
          listener = undefined
        },
      }
    },
    openClient: async () => {
      const { openLocalClient } = await import('./connect.ts')
      return openLocalClient(process.env)
    },
    startNode: async (options, signal) => {
      const { startNode } = await import('../daemon/up.ts')
      return startNode(options, signal)
    },
  }
}
