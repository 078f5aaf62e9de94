/** Where the host calls in: a request comes, time has passed, an answer is there. Runs in the engine. */

import { Body } from './body.ts'
import { Headers, HeaderText } from './headers.ts'
import type { Host, State } from './host.ts'
import { describeError, inspect } from './inspect.ts'
import { Head, Request } from './request.ts'
import { Response } from './response.ts'

declare const host: Host
declare const state: State

/** `fetch` of a script, out into the world. */
export function fetchOut(input: unknown, init?: object): Promise<Response> {
  const waiting = Promise.withResolvers<Response>()
  const send = (request: Request, body: string | Uint8Array): void => {
    if (!state.isServing) throw new Error('fetch is there only while a request is answered')
    const id = state.nextId++
    const headers = Headers.textOf(request.headers)
    const content = body.length === 0 ? undefined : body
    state.fetches.set(id, waiting)
    if (host.fetch(id, request.url, request.method, headers, content)) return
    state.fetches.delete(id)
    throw new RangeError('too many timers and requests at once')
  }
  try {
    const request = new Request(input, init)
    const body = Body.now(request)
    if (body === undefined)
      request
        .bytes()
        .then((bytes) => send(request, bytes))
        .catch(waiting.reject)
    else send(request, body)
  } catch (thrown) {
    waiting.reject(thrown)
  }
  return waiting.promise
}

/** The host has what `fetch` asked for, or why not. */
export function settle(
  id: number,
  status: number,
  headers: string,
  body: Uint8Array,
  problem: string | undefined,
): void {
  const waiting = state.fetches.get(id)
  state.fetches.delete(id)
  if (problem !== undefined) {
    waiting?.reject(new TypeError(`fetch failed: ${problem}`))
    return
  }
  const hasBody = ![204, 205, 304].includes(status)
  const init = { status, headers: new Headers(new HeaderText(headers)) }
  waiting?.resolve(new Response(hasBody ? body : null, init))
}

/** The time of a timer has come. */
export function wake(id: number): void {
  try {
    state.timers.get(id)?.()
  } catch (thrown) {
    fail(thrown)
  }
}

/** The script is loaded: finds what answers requests. @returns false: nothing does */
export function adopt(namespace: {
  readonly fetch?: unknown
  readonly default?: { readonly fetch?: unknown } | null
}): boolean {
  state.exports = namespace
  const own = namespace.default
  const candidates = [
    [own?.fetch, own],
    [namespace.fetch, undefined],
    [own, undefined],
  ] as const
  const found = candidates.find(([one]) => typeof one === 'function')
  if (found === undefined) return false
  const [method, object] = found
  if (typeof method === 'function') {
    state.handler = (...args) => method.apply(object, args)
  }
  return true
}

/** From here on, it is one moment and not all of them. */
export function begin(): void {
  state.isServing = true
  state.seeds = new Int32Array(0)
}

/** @param head  method, URL, and headers as `HeaderText` has them, a line for each */
export function handle(head: string, body: Uint8Array | undefined): void {
  begin()
  const methodEnd = head.indexOf('\n')
  const urlEnd = head.indexOf('\n', methodEnd + 1)
  const init = new Head(
    head.slice(0, methodEnd),
    new HeaderText(head.slice(urlEnd + 1)),
    body ?? null,
  )
  state.waiting = 1
  try {
    const request = new Request(head.slice(methodEnd + 1, urlEnd), init)
    const answer = state.handler?.(request, state.env, { waitUntil })
    if (answer instanceof Response) answerWith(answer)
    else Promise.resolve(answer).then(answerWith).catch(fail)
  } catch (thrown) {
    fail(thrown)
  }
}

/** The functions that it exports beside that for requests, a line for each: how many parameters it has at least, and its name. */
export function listExports(): string {
  const lines: string[] = []
  for (const [name, value] of Object.entries(state.exports)) {
    if (typeof value !== 'function' || name === 'default' || name === 'fetch') continue
    lines.push(`${value.length} ${name}`)
  }
  return lines.join('\n')
}

/** Of those that are listed. @param args  texts, as JSON */
export function callExport(name: string, args: string): void {
  begin()
  state.waiting = 1
  try {
    const found = state.exports[name]
    if (typeof found !== 'function') throw new TypeError(`${name} is no function`)
    const values = JSON.parse(args).map(readArgument)
    Promise.resolve(found(...values))
      .then(returnValue)
      .catch(fail)
  } catch (thrown) {
    fail(thrown)
  }
}

/** What is JSON is what it says; any other is a text. */
export function readArgument(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** 200: a value. 204: there is none. */
export function returnValue(value: unknown): void {
  const text = valueText(value)
  host.respond(text === undefined ? 204 : 200, '', text ?? '')
  leave()
}

export function valueText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}

export function answerWith(response: unknown): void {
  if (!(response instanceof Response)) {
    throw new TypeError(`fetch(request) returned ${inspect(response, 0)} instead of a Response`)
  }
  const send = (body: string | Uint8Array): void => {
    host.respond(response.status, Headers.textOf(response.headers), body)
    leave()
  }
  const body = Body.now(response)
  if (body === undefined) response.bytes().then(send).catch(fail)
  else send(body)
}

/** Of the context: the request is not over before this is. */
export function waitUntil(promise: unknown): void {
  state.waiting++
  Promise.resolve(promise).then(leave, (thrown) => {
    host.log('error', describeError(thrown))
    leave()
  })
}

export function leave(): void {
  state.waiting--
  if (state.waiting === 0) host.done()
}

export function fail(thrown: unknown): void {
  const trace = describeError(thrown)
  host.fail(trace.split('\n', 1)[0] ?? '', trace)
}
