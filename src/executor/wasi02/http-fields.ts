/** `fields` of `wasi:http/types`: headers and trailers, as flat lists of latin1 text inside. */

import { Failure } from '../component/function-codec.ts'
import type { HostCall } from '../component/host.ts'
import type { RawHeaders } from '../http/exchange.ts'

import type { World } from './world.ts'

const FIELDS_MAX = 1000
const BYTES_MAX = 128 * 1024
const NAME = /^[\w!#$%&'*+.^`|~-]+$/
// oxlint-disable-next-line eslint/no-control-regex
const VALUE = /^[^\0-\u0008\u000a-\u001f\u007f]*$/
/** They belong to the connection, which is not the guest's. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

export class Fields {
  readonly isImmutable: boolean
  #raw: string[]
  #bytes: number

  /** @param raw  name, value, name, value …; taken over */
  constructor(raw: readonly string[] = [], isImmutable = false) {
    this.#raw = [...raw]
    this.isImmutable = isImmutable
    this.#bytes = raw.reduce((sum, text) => sum + text.length, 0)
  }

  get raw(): RawHeaders {
    return this.#raw
  }

  get(name: string): readonly Uint8Array[] {
    const lower = name.toLowerCase()
    return this.#pairs()
      .filter(([key]) => key.toLowerCase() === lower)
      .map(([, value]) => Buffer.from(value, 'latin1'))
  }

  entries(): readonly (readonly [name: string, value: Uint8Array])[] {
    return this.#pairs().map(([name, value]) => [name, Buffer.from(value, 'latin1')])
  }

  /** First without those of that name. */
  set(name: string, values: readonly Uint8Array[]): void {
    this.#assertMutable(name)
    const texts = values.map(toValue)
    this.#remove(name)
    for (const text of texts) this.#push(name, text)
  }

  append(name: string, value: Uint8Array): void {
    this.#assertMutable(name)
    this.#push(name, toValue(value))
  }

  delete(name: string): void {
    this.#assertMutable(name)
    this.#remove(name)
  }

  /** Of its own, and one that can be changed. */
  clone(): Fields {
    return new Fields(this.#raw)
  }

  /** Of its own, and one that cannot be changed. */
  freeze(): Fields {
    return new Fields(this.#raw, true)
  }

  #pairs(): readonly (readonly [string, string])[] {
    const pairs: [string, string][] = []
    for (let index = 0; index < this.#raw.length; index += 2) {
      pairs.push([this.#raw[index] ?? '', this.#raw[index + 1] ?? ''])
    }
    return pairs
  }

  #push(name: string, value: string): void {
    this.#bytes += name.length + value.length
    if (this.#bytes > BYTES_MAX || this.#raw.length >= 2 * FIELDS_MAX) {
      throw new Failure({ tag: 'invalid-syntax' })
    }
    this.#raw.push(name, value)
  }

  #remove(name: string): void {
    const lower = name.toLowerCase()
    this.#raw = this.#pairs()
      .filter(([key]) => key.toLowerCase() !== lower)
      .flat()
    this.#bytes = this.#raw.reduce((sum, text) => sum + text.length, 0)
  }

  #assertMutable(name: string): void {
    if (this.isImmutable) throw new Failure({ tag: 'immutable' })
    if (!NAME.test(name)) throw new Failure({ tag: 'invalid-syntax' })
    if (FORBIDDEN.has(name.toLowerCase())) throw new Failure({ tag: 'forbidden' })
  }
}

function toValue(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  if (!VALUE.test(text)) throw new Failure({ tag: 'invalid-syntax' })
  return text
}

function fieldsOf(entries: readonly (readonly [string, Uint8Array])[]): Fields {
  const fields = new Fields()
  for (const [name, value] of entries) fields.append(name, value)
  return fields
}

export const FIELDS: Readonly<Record<string, HostCall<World>>> = {
  '[constructor]fields': () => new Fields(),
  '[static]fields.from-list': (
    _world,
    entries: readonly (readonly [name: string, value: Uint8Array])[],
  ) => fieldsOf(entries),
  '[method]fields.get': (_world, fields: Fields, name: string) => fields.get(name),
  '[method]fields.has': (_world, fields: Fields, name: string) => fields.get(name).length > 0,
  '[method]fields.set': (_world, fields: Fields, name: string, values: readonly Uint8Array[]) =>
    fields.set(name, values),
  '[method]fields.delete': (_world, fields: Fields, name: string) => fields.delete(name),
  '[method]fields.append': (_world, fields: Fields, name: string, value: Uint8Array) =>
    fields.append(name, value),
  '[method]fields.entries': (_world, fields: Fields) => fields.entries(),
  '[method]fields.clone': (_world, fields: Fields) => fields.clone(),
}
