/**
 * Reads `quiver.wit`: the part of WIT that it uses, which is types, enums, interfaces and worlds that import them.
 *
 * Trusted text of this repository; a mistake in it is a bug, so it is an assertion. Grammar: the component model's design/mvp/WIT.md.
 */

import { assert } from '../core/assert.ts'

export interface WitType {
  /** `u32`, `string`, `list`, `result`, `_`, or the name of a declared type. */
  readonly name: string
  readonly args: readonly WitType[]
}

export interface WitFunction {
  readonly name: string
  readonly docs: string
  readonly params: readonly { readonly name: string; readonly type: WitType }[]
  readonly result: WitType | null
  /** `async func`: it may wait. */
  readonly isAsync: boolean
}

export interface WitCase {
  readonly name: string
  readonly docs: string
}

export interface WitAlias {
  readonly name: string
  readonly docs: string
  readonly type: WitType
}

export interface WitEnum {
  readonly name: string
  readonly docs: string
  readonly cases: readonly WitCase[]
}

export interface WitInterface {
  readonly name: string
  readonly docs: string
  readonly aliases: readonly WitAlias[]
  readonly enums: readonly WitEnum[]
  readonly functions: readonly WitFunction[]
}

export interface WitWorld {
  readonly name: string
  readonly docs: string
  /** Names of interfaces, in their order. */
  readonly imports: readonly string[]
  readonly functions: readonly WitFunction[]
}

export interface WitPackage {
  readonly name: string
  readonly docs: string
  readonly interfaces: readonly WitInterface[]
  readonly worlds: readonly WitWorld[]
}

const TOKEN = /\/\/\/[^\n]*|->|[a-z][a-z0-9-]*|[\d.]+|[{}()<>:;,=@._]/g

export function parseWit(text: string): WitPackage {
  const rest = text.replaceAll(TOKEN, '').trim()
  assert(rest === '', `WIT: ${rest} is not known here`)
  return new WitParser(text.match(TOKEN) ?? []).parse()
}

class WitParser {
  readonly #tokens: readonly string[]
  #at = 0

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
  }

  parse(): WitPackage {
    const docs = this.#docs()
    this.#expect('package')
    const name = this.#until(';')
    const interfaces: WitInterface[] = []
    const worlds: WitWorld[] = []
    while (this.#at < this.#tokens.length) {
      const itemDocs = this.#docs()
      if (this.#accept('interface')) interfaces.push(this.#interface(itemDocs))
      else if (this.#accept('world')) worlds.push(this.#world(itemDocs))
      else assert(false, `WIT: ${this.#peek()} is neither an interface nor a world`)
    }
    return { name, docs, interfaces, worlds }
  }

  #interface(docs: string): WitInterface {
    const name = this.#next()
    const aliases: WitAlias[] = []
    const enums: WitEnum[] = []
    const functions: WitFunction[] = []
    this.#block(() => {
      const itemDocs = this.#docs()
      if (this.#accept('use')) this.#until(';')
      else if (this.#accept('type')) aliases.push(this.#alias(itemDocs))
      else if (this.#accept('enum')) enums.push(this.#enum(itemDocs))
      else functions.push(this.#function(itemDocs))
    })
    return { name, docs, aliases, enums, functions }
  }

  #world(docs: string): WitWorld {
    const name = this.#next()
    const imports: string[] = []
    const functions: WitFunction[] = []
    this.#block(() => {
      const itemDocs = this.#docs()
      if (this.#accept('use')) {
        this.#until(';')
        return
      }
      this.#expect('import')
      if (this.#tokens[this.#at + 1] === ':') functions.push(this.#function(itemDocs))
      else imports.push(this.#until(';'))
    })
    return { name, docs, imports, functions }
  }

  #alias(docs: string): WitAlias {
    const name = this.#next()
    this.#expect('=')
    const type = this.#type()
    this.#expect(';')
    return { name, docs, type }
  }

  #enum(docs: string): WitEnum {
    const name = this.#next()
    const cases: WitCase[] = []
    this.#block(() => {
      const caseDocs = this.#docs()
      cases.push({ name: this.#next(), docs: caseDocs })
      this.#accept(',')
    })
    return { name, docs, cases }
  }

  #function(docs: string): WitFunction {
    const name = this.#next()
    this.#expect(':')
    const isAsync = this.#accept('async')
    this.#expect('func')
    this.#expect('(')
    const params: { name: string; type: WitType }[] = []
    while (!this.#accept(')')) {
      const param = this.#next()
      this.#expect(':')
      params.push({ name: param, type: this.#type() })
      this.#accept(',')
    }
    const result = this.#accept('->') ? this.#type() : null
    this.#expect(';')
    return { name, docs, params, result, isAsync }
  }

  #type(): WitType {
    const name = this.#next()
    const args: WitType[] = []
    if (!this.#accept('<')) return { name, args }
    while (!this.#accept('>')) {
      args.push(this.#type())
      this.#accept(',')
    }
    return { name, args }
  }

  #block(readItem: () => void): void {
    this.#expect('{')
    while (!this.#accept('}')) readItem()
  }

  /** The comment in front of an item, one line for each of its lines. */
  #docs(): string {
    const lines: string[] = []
    while (this.#peek().startsWith('///')) lines.push(this.#next().slice(3).trim())
    return lines.join('\n')
  }

  #until(end: string): string {
    let text = ''
    while (!this.#accept(end)) text += this.#next()
    return text
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? ''
  }

  #next(): string {
    const token = this.#tokens[this.#at++]
    assert(token !== undefined, 'WIT: it ends too early')
    return token
  }

  #accept(token: string): boolean {
    if (this.#peek() !== token) return false
    this.#at++
    return true
  }

  #expect(token: string): void {
    const found = this.#next()
    assert(found === token, `WIT: ${found} where ${token} is expected`)
  }
}
