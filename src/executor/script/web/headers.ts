/** `Headers` of the Fetch standard. Runs in the engine. */

import { pairsOf } from './convert.ts'

/** Headers as they came from outside: well-formed, a line for each name and value. Nobody but the platform can make one. */
export class HeaderText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export class Headers {
  /** Undefined while `#text` has not been read: most scripts look at no header. */
  #pairs: [name: string, value: string][] | undefined
  #text = ''

  constructor(init?: unknown) {
    if (init instanceof HeaderText) {
      this.#text = init.text
      return
    }
    this.#pairs = []
    if (init === undefined) return
    if (typeof init !== 'object' || init === null) {
      throw new TypeError('Headers are made of an object, of pairs, or of other Headers')
    }
    for (const [name, value] of pairsOf(init)) this.append(name, value)
  }

  append(name: unknown, value: unknown): void {
    this.#list.push([Headers.#name(name), Headers.#value(value)])
  }

  delete(name: unknown): void {
    const wanted = Headers.#name(name)
    this.#pairs = this.#list.filter(([one]) => one !== wanted)
  }

  get(name: unknown): string | null {
    const wanted = Headers.#name(name)
    const values = this.#list.filter(([one]) => one === wanted)
    return values.length === 0 ? null : values.map(([, value]) => value).join(', ')
  }

  getSetCookie(): string[] {
    return this.#list.filter(([name]) => name === 'set-cookie').map(([, value]) => value)
  }

  has(name: unknown): boolean {
    const wanted = Headers.#name(name)
    return this.#list.some(([one]) => one === wanted)
  }

  set(name: unknown, value: unknown): void {
    const [wanted, text] = [Headers.#name(name), Headers.#value(value)]
    const at = this.#list.findIndex(([one]) => one === wanted)
    this.delete(wanted)
    this.#list.splice(at === -1 ? this.#list.length : at, 0, [wanted, text])
  }

  forEach(callback: (value: string, name: string, headers: this) => void, self?: unknown): void {
    for (const [name, value] of this) callback.call(self, value, name, this)
  }

  *entries(): Generator<[string, string]> {
    const names = [...new Set(this.#list.map(([name]) => name))].toSorted()
    for (const name of names) {
      if (name === 'set-cookie') {
        for (const value of this.getSetCookie()) yield [name, value]
      } else {
        yield [name, this.get(name) ?? '']
      }
    }
  }

  *keys(): Generator<string> {
    for (const [name] of this.entries()) yield name
  }

  *values(): Generator<string> {
    for (const [, value] of this.entries()) yield value
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries()
  }

  get [Symbol.toStringTag](): string {
    return 'Headers'
  }

  /** As `HeaderText` has them. */
  static textOf(headers: Headers): string {
    if (headers.#pairs === undefined) return headers.#text
    return headers.#pairs.map(([name, value]) => `${name}\n${value}`).join('\n')
  }

  get #list(): [string, string][] {
    if (this.#pairs !== undefined) return this.#pairs
    const lines = this.#text === '' ? [] : this.#text.split('\n')
    const pairs: [string, string][] = []
    for (let index = 0; index < lines.length; index += 2) {
      pairs.push([(lines[index] ?? '').toLowerCase(), lines[index + 1] ?? ''])
    }
    this.#pairs = pairs
    return pairs
  }

  static #name(name: unknown): string {
    const text = String(name)
    if (/^[\w!#$%&'*+.^`|~-]+$/.test(text)) return text.toLowerCase()
    throw new TypeError(`"${text}" is not a name of a header`)
  }

  static #value(value: unknown): string {
    const text = String(value).replace(/^[\t\r\n ]+|[\t\r\n ]+$/g, '')
    if (!/[\0\r\n]|[^\0-\u00ff]/.test(text)) return text
    throw new TypeError('a value of a header has a character that cannot stand there')
  }
}
