/**
 * Where each key and value of a TOML text stands, for error messages.
 *
 * TOML parsers give values without places. This scanner walks text that a parser has accepted already, so
 * it checks nothing: on valid TOML it finds every key, on anything else it ends early. It never throws.
 */

import { parse } from 'smol-toml'

/** Keys of tables and indexes of arrays, from the root. */
export type KeyPath = readonly (string | number)[]

export interface Place {
  /** 1-based. */
  readonly line: number
  /** 1-based, in UTF-16 code units, as editors count. */
  readonly column: number
}

export interface Positions {
  /** Where the key is written; for an array's element where the element is. Undefined when it is not written. */
  key(path: KeyPath): Place | undefined
  /** Where its value begins; for a table that has a header, the header. */
  value(path: KeyPath): Place | undefined
}

export function scanPositions(text: string): Positions {
  const scanner = new Scanner(text)
  scanner.scan()
  const lineStarts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)]
  const find = (offsets: ReadonlyMap<string, number>) => (path: KeyPath) => {
    const offset = offsets.get(pathKey(path))
    return offset === undefined ? undefined : placeOf(offset, lineStarts)
  }
  return { key: find(scanner.keys), value: find(scanner.values) }
}

function placeOf(offset: number, lineStarts: readonly number[]): Place {
  const next = lineStarts.findIndex((start) => start > offset)
  const line = next === -1 ? lineStarts.length : next
  return { line, column: offset - (lineStarts[line - 1] ?? 0) + 1 }
}

class Scanner {
  readonly keys = new Map<string, number>()
  readonly values = new Map<string, number>()
  readonly #text: string
  #offset = 0
  /** Path of the table that the current line belongs to. */
  #table: KeyPath = []
  /** Number of elements of each array of tables so far. */
  readonly #lengths = new Map<string, number>()

  constructor(text: string) {
    this.#text = text
  }

  scan(): void {
    while (this.#skip(BLANK)) {
      const before = this.#offset
      if (this.#peek() === '[') this.#scanHeader()
      else this.#scanPair(this.#table)
      if (this.#offset === before) return
    }
  }

  /** `[a.b]` or `[[a.b]]`. */
  #scanHeader(): void {
    const start = this.#offset
    const isElement = this.#text.startsWith('[[', start)
    this.#offset += isElement ? 2 : 1
    let path: KeyPath = []
    const parts = this.#scanKey()
    for (const [index, part] of parts.entries()) {
      path = this.#enter([...path, part.name], part.offset, isElement && index === parts.length - 1)
    }
    this.#record(this.values, path, start)
    this.#table = path
    this.#skip(SPACE)
    this.#offset += isElement ? 2 : 1
  }

  /** One step down a header's path: into a table, or into the newest (or a new) element of an array. */
  #enter(path: KeyPath, offset: number, isNew: boolean): KeyPath {
    this.#record(this.keys, path, offset)
    this.#record(this.values, path, offset)
    const key = pathKey(path)
    const length = (this.#lengths.get(key) ?? 0) + (isNew ? 1 : 0)
    if (length === 0) return path
    this.#lengths.set(key, length)
    const element = [...path, length - 1]
    this.#record(this.keys, element, offset)
    return element
  }

  /** `a.b = value`, below `parent`. */
  #scanPair(parent: KeyPath): void {
    const path = [...parent]
    for (const part of this.#scanKey()) {
      path.push(part.name)
      this.#record(this.keys, path, part.offset)
      this.#record(this.values, path, part.offset)
    }
    this.#skip(SPACE)
    if (this.#peek() !== '=') return
    this.#offset++
    this.#skip(SPACE)
    this.values.set(pathKey(path), this.#offset)
    this.#scanValue(path)
  }

  #scanKey(): readonly { readonly name: string; readonly offset: number }[] {
    const parts: { name: string; offset: number }[] = []
    do {
      this.#skip(SPACE)
      const offset = this.#offset
      const raw = this.#take(KEY)
      if (raw === '') break
      parts.push({ name: keyName(raw), offset })
      this.#skip(SPACE)
    } while (this.#take(DOT) !== '')
    return parts
  }

  #scanValue(path: KeyPath): void {
    if (this.#peek() === '[') this.#scanArray(path)
    else if (this.#peek() === '{') this.#scanInlineTable(path)
    else if (this.#take(STRING) === '') this.#take(SCALAR)
  }

  #scanArray(path: KeyPath): void {
    this.#offset++
    for (let index = 0; this.#skip(BLANK) && this.#peek() !== ']'; index++) {
      const element = [...path, index]
      this.keys.set(pathKey(element), this.#offset)
      this.values.set(pathKey(element), this.#offset)
      const before = this.#offset
      this.#scanValue(element)
      this.#skip(BLANK)
      this.#take(COMMA)
      if (this.#offset === before) return
    }
    this.#offset++
  }

  #scanInlineTable(path: KeyPath): void {
    this.#offset++
    while (this.#skip(BLANK) && this.#peek() !== '}') {
      const before = this.#offset
      this.#scanPair(path)
      this.#skip(BLANK)
      this.#take(COMMA)
      if (this.#offset === before) return
    }
    this.#offset++
  }

  /** The first place wins: `[a.b]` before `[a]` is where `a` was named first. */
  #record(map: Map<string, number>, path: KeyPath, offset: number): void {
    const key = pathKey(path)
    if (!map.has(key)) map.set(key, offset)
  }

  #peek(): string {
    return this.#text.charAt(this.#offset)
  }

  /** Moves past what `pattern` (sticky) matches here. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#offset
    const [match = ''] = pattern.exec(this.#text) ?? []
    this.#offset += match.length
    return match
  }

  /** Moves past white space; false at the end of the text. */
  #skip(pattern: RegExp): boolean {
    this.#take(pattern)
    return this.#offset < this.#text.length
  }
}

const SPACE = /[ \t]*/y
const BLANK = /(?:[ \t\r\n\uFEFF]|#[^\n]*)*/y
const DOT = /\./y
const COMMA = /,/y
const KEY = /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s=.[\]{},"'#]+/y
/** A multi-line string may end in up to two quotes of its own before the three that close it. */
const STRING =
  /"""(?:[^"\\]|\\[^]|"{1,2}(?!"))*"{3,5}|'''(?:[^']|'{1,2}(?!'))*'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y
const SCALAR = /[^,\]}#\r\n]*/y

/** The name that a bare or quoted key stands for. */
function keyName(raw: string): string {
  if (!/^["']/.test(raw)) return raw
  try {
    const { key } = parse(`key = ${raw}`)
    return typeof key === 'string' ? key : raw
  } catch {
    return raw
  }
}

function pathKey(path: KeyPath): string {
  return JSON.stringify(path)
}
