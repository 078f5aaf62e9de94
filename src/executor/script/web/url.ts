/** `URL` of the URL standard; parsing is the host's. Runs in the engine. */

import { textOf } from './convert.ts'
import type { Host } from './host.ts'
import { URLSearchParams } from './url-search-params.ts'

declare const host: Host

export class URL {
  #parts: readonly string[]
  #query: URLSearchParams | undefined

  constructor(url: unknown, base?: unknown) {
    const parts = host.url(String(url), base === undefined ? undefined : textOf(base))
    if (parts === undefined) throw new TypeError(`Invalid URL: ${String(url)}`)
    this.#parts = parts.split('\n')
  }

  static canParse(url: unknown, base?: unknown): boolean {
    return host.url(String(url), base === undefined ? undefined : textOf(base)) !== undefined
  }

  static parse(url: unknown, base?: unknown): URL | null {
    return URL.canParse(url, base) ? new URL(url, base) : null
  }

  get href(): string {
    return this.#parts[0] ?? ''
  }
  set href(value: unknown) {
    this.#parts = new URL(value).#parts
    this.#readQuery()
  }

  get origin(): string {
    return this.#parts[10] ?? ''
  }

  get protocol(): string {
    return this.#parts[1] ?? ''
  }
  set protocol(value: unknown) {
    this.#replace('protocol', value)
  }

  get username(): string {
    return this.#parts[2] ?? ''
  }
  set username(value: unknown) {
    this.#replace('username', value)
  }

  get password(): string {
    return this.#parts[3] ?? ''
  }
  set password(value: unknown) {
    this.#replace('password', value)
  }

  get host(): string {
    return this.#parts[4] ?? ''
  }
  set host(value: unknown) {
    this.#replace('host', value)
  }

  get hostname(): string {
    return this.#parts[5] ?? ''
  }
  set hostname(value: unknown) {
    this.#replace('hostname', value)
  }

  get port(): string {
    return this.#parts[6] ?? ''
  }
  set port(value: unknown) {
    this.#replace('port', value)
  }

  get pathname(): string {
    return this.#parts[7] ?? ''
  }
  set pathname(value: unknown) {
    this.#replace('pathname', value)
  }

  get search(): string {
    return this.#parts[8] ?? ''
  }
  set search(value: unknown) {
    this.#replace('search', value)
    this.#readQuery()
  }

  get hash(): string {
    return this.#parts[9] ?? ''
  }
  set hash(value: unknown) {
    this.#replace('hash', value)
  }

  get searchParams(): URLSearchParams {
    if (this.#query !== undefined) return this.#query
    const query = new URLSearchParams(this.search)
    URLSearchParams.watch(query, (text) => this.#replace('search', text))
    this.#query = query
    return query
  }

  toString(): string {
    return this.href
  }

  toJSON(): string {
    return this.href
  }

  get [Symbol.toStringTag](): string {
    return 'URL'
  }

  #replace(part: string, value: unknown): void {
    this.#parts = host.urlWith(this.href, part, String(value)).split('\n')
  }

  #readQuery(): void {
    if (this.#query !== undefined) URLSearchParams.reset(this.#query, this.search)
  }
}
