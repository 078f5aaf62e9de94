/** `URLSearchParams` of the URL standard; reading and writing the text is the host's. Runs in the engine. */

import { pairsOf, textOf } from './convert.ts'
import type { Host } from './host.ts'

declare const host: Host

export class URLSearchParams {
  #pairs: [name: string, value: string][] = []
  #onChange: ((text: string) => void) | undefined

  constructor(init: unknown = '') {
    if (typeof init !== 'object' || init === null) {
      this.#pairs = JSON.parse(host.parseQuery(String(init)))
      return
    }
    this.#pairs = pairsOf(init).map(([name, value]) => [textOf(name), textOf(value)])
  }

  get size(): number {
    return this.#pairs.length
  }

  append(name: unknown, value: unknown): void {
    this.#pairs.push([textOf(name), textOf(value)])
    this.#tell()
  }

  delete(name: unknown, value?: unknown): void {
    this.#pairs = this.#pairs.filter(
      ([one, text]) => one !== textOf(name) || (value !== undefined && text !== textOf(value)),
    )
    this.#tell()
  }

  get(name: unknown): string | null {
    return this.#pairs.find(([one]) => one === textOf(name))?.[1] ?? null
  }

  getAll(name: unknown): string[] {
    return this.#pairs.filter(([one]) => one === textOf(name)).map(([, value]) => value)
  }

  has(name: unknown, value?: unknown): boolean {
    return this.#pairs.some(
      ([one, text]) => one === textOf(name) && (value === undefined || text === textOf(value)),
    )
  }

  set(name: unknown, value: unknown): void {
    const at = this.#pairs.findIndex(([one]) => one === textOf(name))
    const rest = this.#pairs.filter(([one], index) => one !== textOf(name) || index === at)
    if (at === -1) rest.push([textOf(name), textOf(value)])
    else rest[at] = [textOf(name), textOf(value)]
    this.#pairs = rest
    this.#tell()
  }

  sort(): void {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
    this.#tell()
  }

  forEach(callback: (value: string, name: string, params: this) => void, self?: unknown): void {
    for (const [name, value] of this) callback.call(self, value, name, this)
  }

  *entries(): Generator<[string, string]> {
    for (const [name, value] of this.#pairs) yield [name, value]
  }

  *keys(): Generator<string> {
    for (const [name] of this.#pairs) yield name
  }

  *values(): Generator<string> {
    for (const [, value] of this.#pairs) yield value
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries()
  }

  toString(): string {
    return host.formatQuery(JSON.stringify(this.#pairs))
  }

  get [Symbol.toStringTag](): string {
    return 'URLSearchParams'
  }

  /** Of a URL, which changes with its parameters. */
  static watch(params: URLSearchParams, onChange: (text: string) => void): void {
    params.#onChange = onChange
  }

  /** The URL has changed. */
  static reset(params: URLSearchParams, text: string): void {
    params.#pairs = JSON.parse(host.parseQuery(text))
  }

  #tell(): void {
    this.#onChange?.(this.toString())
  }
}
