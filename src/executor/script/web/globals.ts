/** What a script finds around it, beside the language and the classes. Runs in the engine. */

import type { Host, State } from './host.ts'
import { formatLog, inspect } from './inspect.ts'

declare const host: Host
declare const state: State

export class Console {
  #indent = ''
  readonly #counts = new Map<string, number>()
  readonly #timers = new Map<string, number>()

  log = (...args: unknown[]): void => this.#write('info', args)
  info = (...args: unknown[]): void => this.#write('info', args)
  debug = (...args: unknown[]): void => this.#write('debug', args)
  warn = (...args: unknown[]): void => this.#write('warn', args)
  error = (...args: unknown[]): void => this.#write('error', args)
  dir = (value: unknown): void => this.#write('info', [inspect(value)])
  table = (value: unknown): void => this.#write('info', [inspect(value)])
  trace = (...args: unknown[]): void => {
    this.#write('error', [`Trace: ${formatLog(args)}\n${new Error('trace').stack ?? ''}`.trimEnd()])
  }
  assert = (condition: unknown, ...args: unknown[]): void => {
    if (!condition) this.#write('error', ['Assertion failed', ...args])
  }
  count = (label: unknown = 'default'): void => {
    const count = (this.#counts.get(String(label)) ?? 0) + 1
    this.#counts.set(String(label), count)
    this.#write('info', [`${String(label)}: ${count}`])
  }
  group = (...args: unknown[]): void => {
    if (args.length > 0) this.#write('info', args)
    this.#indent += '  '
  }
  groupEnd = (): void => {
    this.#indent = this.#indent.slice(2)
  }
  time = (label: unknown = 'default'): void => {
    this.#timers.set(String(label), host.now())
  }
  timeEnd = (label: unknown = 'default'): void => {
    const sinceMs = host.now() - (this.#timers.get(String(label)) ?? host.now())
    this.#timers.delete(String(label))
    this.#write('info', [`${String(label)}: ${sinceMs.toFixed(3)}ms`])
  }

  #write(level: string, args: readonly unknown[]): void {
    const text = formatLog(args)
    host.log(level, this.#indent === '' ? text : text.replaceAll(/^/gm, this.#indent))
  }
}

/** While the script is loaded, what it does is the beginning of every request: nothing of one moment may be in it. */
export function requireRequest(what: string): void {
  if (state.isServing) return
  throw new Error(
    `${what} is there only while a request is answered, not while the script is loaded`,
  )
}

export class Crypto {
  getRandomValues<T extends ArrayBufferView>(array: T): T {
    requireRequest('crypto.getRandomValues')
    if (array.byteLength > 65_536) throw new RangeError('more than 65536 random bytes at once')
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    bytes.set(host.random(array.byteLength))
    return array
  }

  randomUUID(): string {
    requireRequest('crypto.randomUUID')
    const bytes = host.random(16)
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
}

/** `sfc32`, seeded in each request: the engine's own would go on alike in all of them. */
export function random(): number {
  let { seeds } = state
  if (seeds.length === 0) {
    seeds = new Int32Array(host.random(16).buffer)
    state.seeds = seeds
  }
  const [a = 0, b = 0, c = 0, d = 0] = seeds
  const sum = (((a + b) | 0) + d) | 0
  seeds[3] = (d + 1) | 0
  seeds[0] = b ^ (b >>> 9)
  seeds[1] = (c + (c << 3)) | 0
  seeds[2] = (((c << 21) | (c >>> 11)) + sum) | 0
  return (sum >>> 0) / 2 ** 32
}

export function startTimer(
  callback: unknown,
  delay: unknown,
  args: readonly unknown[],
  isRepeated: boolean,
): number {
  requireRequest(isRepeated ? 'setInterval' : 'setTimeout')
  if (typeof callback !== 'function') throw new TypeError('a timer calls a function')
  const id = state.nextId++
  const delayMs = Math.max(isRepeated ? 1 : 0, Number(delay) || 0)
  const run = (): void => {
    if (isRepeated) host.timer(id, delayMs)
    else state.timers.delete(id)
    callback(...args)
  }
  state.timers.set(id, run)
  if (host.timer(id, delayMs)) return id
  state.timers.delete(id)
  throw new RangeError('too many timers and requests at once')
}

export function stopTimer(id: unknown): void {
  if (state.timers.delete(Number(id))) host.cancel(Number(id))
}
