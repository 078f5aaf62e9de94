/** What went wrong with a guest, in words for whoever sent the request and for its log. */

import { QuiverError, type Code } from '../../core/error.ts'
import { neutralise } from '../../core/terminal.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Failure } from '../protocol.ts'
import { trapReason } from '../trap.ts'

/** A limit of the task was reached: the guest is ended, and the answer names it. */
export class LimitBreach extends QuiverError {}

export const BREACHES = {
  CPU_TIME: 'wasm.cpu_time',
  OUT_OF_MEMORY: 'limits.memory',
  OUTPUT_TOO_LARGE: 'wasm.output',
  INPUT_TOO_LARGE: 'limits.body',
  HOST_CALLS: 'wasm.host_calls',
  REQUEST_TIMEOUT: 'limits.request_timeout',
} as const

export type Breach = keyof typeof BREACHES

export function breach(reason: Breach, what: string): LimitBreach {
  return new LimitBreach('resource_exhausted', reason, what, {
    hint: `Raise ${BREACHES[reason]} in quiver.toml if that is what it should do.`,
  })
}

export function inputTooLarge(bytesMax: number): LimitBreach {
  return breach('INPUT_TOO_LARGE', `the body is longer than ${bytesMax} bytes`)
}

/** The program ended with a status that says it failed. */
export function exited(status: number): QuiverError {
  return new QuiverError('unavailable', 'EXITED', `the program ended with status ${status}`)
}

/** What a guest's call threw, as an error with a reason. */
export function explain(thrown: unknown): QuiverError {
  if (thrown instanceof QuiverError) return thrown
  const reason = trapReason(thrown)
  if (reason !== undefined) return reason
  if (thrown instanceof RangeError && /call stack/i.test(thrown.message)) {
    const message = 'the guest called itself too deep: its stack is full'
    return new QuiverError('unavailable', 'STACK_OVERFLOW', message, { cause: thrown })
  }
  if (thrown instanceof WebAssembly.RuntimeError) {
    const message = `the guest trapped: ${thrown.message}`
    return new QuiverError('unavailable', 'TRAPPED', message, { cause: thrown })
  }
  if (thrown instanceof WebAssembly.LinkError || thrown instanceof RangeError) {
    const message = `the guest could not be made: ${thrown.message}`
    return new QuiverError('unavailable', 'INSTANTIATION_FAILED', message, { cause: thrown })
  }
  return QuiverError.from(thrown)
}

/** Its message may have names in it that a module chose. */
export function toFailure(error: QuiverError): Failure {
  const { code, reason, hint } = error
  const message = neutralise(error.message)
  return { code, reason, message, ...(hint === undefined ? {} : { hint }) }
}

/** As the proxy's own errors are: a broken guest is a bad gateway, a limit of time a timeout. */
const STATUS: Partial<Record<Code, number>> = {
  deadline_exceeded: 504,
  invalid_argument: 400,
  not_found: 404,
}

/** Answers with the failure, or breaks the answer that has begun. */
export function respondFailure(exchange: Exchange, error: QuiverError): void {
  if (exchange.hasBegun) {
    exchange.break()
    return
  }
  const requestId = exchange.head.header('x-request-id') ?? null
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  exchange.respond(statusOf(error), headers, formatBody(error, requestId))
}

/** The same as bytes for a connection that ends with it. */
export function formatAnswer(error: QuiverError, isHead: boolean): string {
  const body = formatBody(error, null)
  const head = [
    `HTTP/1.1 ${statusOf(error)} `,
    'Content-Type: application/json',
    'Cache-Control: no-store',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${isHead ? '' : body.toString()}`
}

function formatBody(error: QuiverError, requestId: string | null): Buffer {
  return Buffer.from(
    `${JSON.stringify({ ...toFailure(error), requestId, component: 'executor' })}\n`,
  )
}

function statusOf({ code, reason }: QuiverError): number {
  if (reason === 'INPUT_TOO_LARGE') return 413
  return STATUS[code] ?? 502
}
