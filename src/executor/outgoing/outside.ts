/** What one request's guest reaches: outside hosts, other tasks, and their exports. Made when it first asks. */

import { QuiverError } from '../../core/error.ts'
import { callTarget, CHAIN_HEADER, CHAIN_MAX, parseCallAnswer, parseNumber } from '../call.ts'
import type { IncomingResponse, OutgoingRequest, TaskCall, TaskResult } from '../guest-host.ts'
import type { OutsidePlan } from '../protocol.ts'
import type { OutgoingPieces, StreamedRequest, StreamedResponse } from '../streaming.ts'

import { timedOut } from './answer-body.ts'
import { dial } from './dial.ts'
import { exchangeOver } from './http-client.ts'
import { findTaskTarget, findUrlTarget, type Target } from './targets.ts'

export interface OutsideContext {
  readonly task: string
  readonly plan: OutsidePlan
  /** Tasks that wait for this request, the first caller first; without this one. */
  readonly chain: readonly string[]
  readonly requestId: string | undefined
  /** Nobody waits for the answer any more. */
  readonly gone: AbortSignal
  readonly timeoutMs: number
  /** Whatever is given to a guest as a whole is this long at most. */
  readonly inputBytesMax: number
}

const OK = 200
/** Base64 of the body, and JSON around it. */
const CALL_OVERHEAD = 1.5
const CALL_ANSWER_BYTES_MIN = 64 * 1024
const ERROR_BYTES_SHOWN = 300
const EMPTY = new Uint8Array(0)

export class Outside {
  readonly #context: OutsideContext

  constructor(context: OutsideContext) {
    this.#context = context
  }

  async fetch(text: string, request: OutgoingRequest): Promise<IncomingResponse> {
    const url = parseUrl(text)
    const target = findUrlTarget(url, this.#context.plan)
    return await this.#send(target, url.host, `${url.pathname}${url.search}`, request)
  }

  /** As `fetch`, but bodies go through as they come, and the exchange outlives the call: until its body ends. */
  async open(text: string, request: StreamedRequest): Promise<StreamedResponse> {
    const { plan, gone, timeoutMs } = this.#context
    const url = parseUrl(text)
    const target = findUrlTarget(url, plan)
    const headers = target.task === null ? [] : this.#describeCaller()
    const over = AbortSignal.any([gone, request.signal])
    const limit = (ms: number | null): number => Math.min(ms ?? timeoutMs, timeoutMs)
    const { connectMs, firstByteMs, betweenBytesMs } = request.timeouts
    const { host } = url
    const connection = await within(host, limit(connectMs), over, (signal) =>
      dial(target, plan, signal),
    )
    const answer = await within(host, limit(firstByteMs), over, (signal) =>
      exchangeOver(connection, request, {
        host,
        target: `${url.pathname}${url.search}`,
        headers,
        signal,
        betweenBytesMs: limit(betweenBytesMs),
      }),
    )
    onAbort(over, () => answer.body.close())
    return answer
  }

  async requestTask(
    task: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    const target = findTaskTarget(task, this.#context.plan)
    return await this.#send(target, hostOf(target), path, request)
  }

  async callTask(call: TaskCall): Promise<TaskResult> {
    const target = findTaskTarget(call.task, this.#context.plan)
    this.#assertNoCycle(target.task)
    const answerBytesMax = Math.max(CALL_ANSWER_BYTES_MIN, call.answerBytesMax * CALL_OVERHEAD)
    const request = {
      method: 'POST',
      rawHeaders: ['Content-Type', 'application/json', 'Accept', 'application/json'],
      body: Buffer.from(encodeCall(call)),
      answerBytesMax,
    }
    const path = callTarget(call.function)
    const answer = await this.#send(target, hostOf(target), path, request)
    if (answer.status !== OK) throw callFailed(target.task, call.function, answer)
    const { value, output } = parseCallAnswer(answer.body)
    const parsed = call.result === undefined ? undefined : parseNumber(call.result, value)
    const empty = { status: OK, rawHeaders: [], body: EMPTY }
    if (output === undefined) return { value: parsed, output: empty }
    const body = Uint8Array.from(Buffer.from(output.body, 'base64'))
    return {
      value: parsed,
      output: { status: output.status, rawHeaders: output.headers, body },
    }
  }

  async #send(
    target: Target,
    host: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    const { plan, gone, timeoutMs, inputBytesMax } = this.#context
    const headers = target.task === null ? [] : this.#describeCaller()
    return await within(host, timeoutMs, gone, async (signal) => {
      const connection = await dial(target, plan, signal)
      const options = { host, target: path, headers, signal, betweenBytesMs: timeoutMs }
      const pieces = { ...request, body: wholeBody(request.body) }
      const { status, rawHeaders, body } = await exchangeOver(connection, pieces, options)
      onAbort(signal, () => body.close())
      const whole = await body.readAll(Math.min(request.answerBytesMax, inputBytesMax))
      return { status, rawHeaders, body: whole }
    })
  }

  /** For tasks alone: nobody outside is told of them. @throws QuiverError `failed_precondition/CALL_TOO_DEEP` */
  #describeCaller(): readonly string[] {
    const { chain, task, requestId } = this.#context
    const callers = [...chain, task]
    if (callers.length > CHAIN_MAX) {
      const message = `${CHAIN_MAX} tasks wait for each other: ${callers.join(' → ')}`
      throw new QuiverError('failed_precondition', 'CALL_TOO_DEEP', message, {
        hint: 'Let one task call the others, instead of each the next.',
      })
    }
    const id = requestId === undefined ? [] : ['X-Request-Id', requestId]
    return [CHAIN_HEADER, callers.join(','), ...id]
  }

  #assertNoCycle(callee: string): void {
    const { chain, task } = this.#context
    const callers = [...chain, task]
    if (!callers.includes(callee)) return
    const message = `the call would never end: ${[...callers, callee].join(' → ')}`
    throw new QuiverError('failed_precondition', 'CALL_CYCLE', message, {
      hint: 'Break the circle: a task cannot call one that waits for it.',
    })
  }
}

function hostOf({ name, port }: Target): string {
  return port === 80 ? name : `${name}:${port}`
}

function encodeCall({ args, input, inputHeaders, buffers }: TaskCall): string {
  return JSON.stringify({
    args: args.map((value) => (Object.is(value, -0) ? '-0' : String(value))),
    ...(input.length === 0 ? {} : { input: base64(input) }),
    ...(inputHeaders.length === 0 ? {} : { inputHeaders }),
    ...(buffers.size === 0
      ? {}
      : { buffers: Object.fromEntries([...buffers].map(([id, bytes]) => [id, base64(bytes)])) }),
  })
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

/** What the callee said, with its reason where it has one. */
function callFailed(task: string, name: string, { status, body }: IncomingResponse): QuiverError {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')
  const [reason, message] = readFailure(text)
  const what = `${name} of task ${task} failed with status ${status}: ${message}`
  return new QuiverError(status === 404 ? 'not_found' : 'unavailable', reason, what, {
    hint: `See "quiver logs ${task}".`,
  })
}

function readFailure(text: string): readonly [reason: string, message: string] {
  const shown = text.slice(0, ERROR_BYTES_SHOWN)
  try {
    const body: unknown = JSON.parse(text)
    const { reason, message }: Readonly<Record<string, unknown>> = { ...Object(body) }
    const isNamed = typeof reason === 'string' && /^[A-Z_]{1,64}$/.test(reason)
    return [isNamed ? reason : 'CALL_FAILED', typeof message === 'string' ? message : shown]
  } catch {
    return ['CALL_FAILED', shown]
  }
}

/** @throws QuiverError `invalid_argument/URL_INVALID` */
function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (url !== null) return url
  throw new QuiverError('invalid_argument', 'URL_INVALID', `"${text.slice(0, 200)}" is no URL`)
}

/** @throws QuiverError `deadline_exceeded/TARGET_TIMEOUT`, or the reason of `gone` */
async function within<T>(
  host: string,
  timeoutMs: number,
  gone: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    return await work(AbortSignal.any([gone, timeout]))
  } catch (thrown) {
    if (gone.aborted) throw gone.reason
    throw timeout.aborted ? timedOut(host, timeoutMs) : thrown
  }
}

function onAbort(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act()
  else signal.addEventListener('abort', act, { once: true })
}

function wholeBody(bytes: Uint8Array): OutgoingPieces {
  let rest: Uint8Array | null = bytes.length === 0 ? null : bytes
  return {
    length: bytes.length,
    trailers: [],
    next: () => {
      const piece = rest
      rest = null
      return Promise.resolve(piece)
    },
    close: () => {},
  }
}
