/**
 * What the code inside the JavaScript engine has of the world outside, and what the outside may call inside.
 *
 * Everything in this folder runs in the engine, not in Node.js: prelude.ts takes the text of its classes and functions and puts it into
 * one scope there. So no file has anything at its top level but classes and functions, and they refer to nothing but each other,
 * the language, `host` and `state`.
 */

import type { Response } from './response.ts'

/** Each is a call out of the engine: the arguments are copied, and so is what comes back. None throws. */
export interface Host {
  log(level: string, text: string): void
  /** @param headers  name, value, name, value …, a line for each */
  respond(status: number, headers: string, body: string | Uint8Array): void
  /** What was to be done for this request is done; nothing is called afterwards. */
  done(): void
  /** @param trace  where it happened, for the log */
  fail(message: string, trace: string): void
  /** `wake(id)` will be called after that time. @returns false: there are too many */
  timer(id: number, delayMs: number): boolean
  cancel(id: number): void
  /** `settle(id, …)` will be called. @returns false: there are too many */
  fetch(
    id: number,
    url: string,
    method: string,
    headers: string,
    body: string | Uint8Array | undefined,
  ): boolean
  /** The parts of a URL, a line for each as `URL_PARTS` has them; undefined when it is none. */
  url(text: string, base: string | undefined): string | undefined
  /** The same, of a URL with one part replaced. */
  urlWith(href: string, part: string, value: string): string
  /** `a=1&b=2` as JSON: pairs. And back. */
  parseQuery(text: string): string
  formatQuery(pairs: string): string
  encode(text: string): Uint8Array
  /** Undefined: they are not that. @param label  lower case; `flags`: `f` fatal, `b` keep the byte order mark */
  decode(bytes: Uint8Array, label: string, flags: string): string | undefined
  /** The name of an encoding; undefined when nobody knows it. */
  encoding(label: string): string | undefined
  random(count: number): Uint8Array
  /** Milliseconds since the request began. */
  now(): number
  /** All that a script which runs once is given to read; nothing the second time. */
  input(): Uint8Array
  exit(status: number): void
}

/** What one instance of the engine keeps; as the script left it when it was loaded, at the start of each request. */
export interface State {
  /** False while the script is loaded: nothing of the outside is there yet. */
  isServing: boolean
  /** `fetch` of the script, with its object. */
  handler: ((request: object, env: object, context: object) => unknown) | undefined
  /** All that the script exports. */
  exports: Readonly<Record<string, unknown>>
  env: object
  nextId: number
  readonly timers: Map<number, () => void>
  readonly fetches: Map<number, PromiseWithResolvers<Response>>
  /** Of `Math.random`; empty: not seeded yet. */
  seeds: Int32Array
  /** What `waitUntil` got and is not settled, and the request itself. */
  waiting: number
}
