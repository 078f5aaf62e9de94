/**
 * A process of a node as if it ran here: its streams are ours, so are its terminal, its signals and its exit status.
 *
 * On a terminal, keys go through unchanged (raw mode), Ctrl-C among them. Otherwise the first signal is passed on, the
 * second kills, the third gives up.
 */

import { constants } from 'node:os'
import { pipeline } from 'node:stream/promises'

import type { ClientSession } from '../client/session.ts'

import type { CliContext, Output } from './context.ts'

export interface ForegroundOptions {
  readonly isTerminal: boolean
  readonly hasStdin: boolean
  /** Sends a signal to the process, beside the session where that is possible. */
  readonly signal: (signal: number) => Promise<void>
  /** Keys that leave the process running; none unless given. */
  readonly detachKeys?: string
}

/** Status 0–255 of the process, or `detached`. @throws QuiverError `unavailable/SESSION_LOST` */
export async function runInForeground(
  context: CliContext,
  session: ClientSession,
  options: ForegroundOptions,
): Promise<number | 'detached'> {
  const { stdin, process } = context
  const detached = Promise.withResolvers<'detached'>()
  using taken = new DisposableStack()
  taken.use(takeSignals(context, session, options))
  if (options.isTerminal) taken.use(takeTerminal(context, session))
  const forward = (chunk: Buffer | string) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    if (options.detachKeys !== undefined && bytes.includes(options.detachKeys)) {
      detached.resolve('detached')
      return
    }
    if (session.stdin.write(bytes)) return
    stdin.pause()
    session.stdin.once('drain', () => stdin.resume())
  }
  const end = () => session.stdin.end()
  if (options.hasStdin) {
    stdin.on('data', forward)
    stdin.once('end', end)
  } else {
    end()
  }
  try {
    const outputs = Promise.all([
      copy(session.stdout, process.stdout),
      copy(session.stderr, process.stderr),
      session.status,
    ])
    const result = await Promise.race([outputs, detached.promise])
    return result === 'detached' ? result : result[2]
  } finally {
    stdin.off('data', forward)
    stdin.off('end', end)
    stdin.pause()
    stdin.unref?.()
  }
}

/** Size of the terminal, where there is one. */
export function terminalSize({ process }: CliContext): { rows: number; columns: number } {
  return { rows: process.stdout.rows ?? 24, columns: process.stdout.columns ?? 80 }
}

export function isOnTerminal({ stdin, process }: CliContext): boolean {
  return stdin.isTTY === true && process.stdout.isTTY === true
}

/** Writes all of `from`, and waits where `to` can say that it is full. Does not end it. */
async function copy(from: NodeJS.ReadableStream, to: Output): Promise<void> {
  await pipeline(from, async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      const isFull = to.write(chunk) === false
      if (isFull) await drained(to)
    }
  })
}

function drained(to: Output): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (to.once === undefined) resolve()
  else to.once('drain', resolve)
  return promise
}

function takeSignals(
  context: CliContext,
  session: ClientSession,
  { signal: send }: ForegroundOptions,
): Disposable {
  let count = 0
  return context.takeSignals((name) => {
    count++
    if (count > 2) {
      session[Symbol.dispose]()
      return
    }
    const number = count === 1 ? constants.signals[name] : constants.signals.SIGKILL
    // A signal that cannot be sent any more has done its duty: the process has ended.
    send(number).catch(() => {})
  })
}

function takeTerminal(context: CliContext, session: ClientSession): Disposable {
  const { stdin, process } = context
  const resize = () => {
    const { rows, columns } = terminalSize(context)
    session.resize(rows, columns)
  }
  stdin.setRawMode?.(true)
  process.stdout.on?.('resize', resize)
  resize()
  return {
    [Symbol.dispose]: () => {
      stdin.setRawMode?.(false)
      process.stdout.off?.('resize', resize)
    },
  }
}
