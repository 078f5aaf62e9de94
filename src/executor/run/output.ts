/**
 * What a command writes to stdout becomes an answer: with the headers that it wrote before (RFC 3875, section 6), or as the
 * body of a plain one. A short answer is held back until the program ends, so that it leaves whole and with its length.
 */

import { QuiverError } from '../../core/error.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'

import { breach } from './failure.ts'
import type { Log } from './runner.ts'

/** Longer answers leave as they come. */
const HELD_BYTES_MAX = 32 * 1024
const HEAD_BYTES_MAX = 64 * 1024
const PLAIN: RawHeaders = ['Content-Type', 'text/plain; charset=utf-8']
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
// oxlint-disable-next-line eslint/no-control-regex
const FORBIDDEN = /[\0-\u0008\u000a-\u001f\u007f]/
/** What the platform says by itself, or what would change where the answer ends. */
const DROPPED = new Set(['status', 'content-length', 'connection', 'transfer-encoding'])

interface AnswerHead {
  readonly status: number
  readonly headers: RawHeaders
}

export class CommandOutput {
  readonly #exchange: Exchange
  readonly #bytesMax: number
  #head: AnswerHead | null
  #held: Uint8Array[] = []
  #heldBytes = 0
  #total = 0
  /** Why what is held is no answer; it still may be none, when the answer comes in another way. */
  #problem: QuiverError | null = null

  constructor(exchange: Exchange, mode: 'cgi' | 'body', bytesMax: number) {
    this.#exchange = exchange
    this.#bytesMax = bytesMax
    this.#head = mode === 'body' ? { status: 200, headers: PLAIN } : null
  }

  /** Takes over `bytes`. @throws LimitBreach, QuiverError `unavailable/RESPONSE_INVALID` */
  write(bytes: Uint8Array): void | Promise<void> {
    this.#total += bytes.length
    if (this.#total > this.#bytesMax) {
      throw breach('OUTPUT_TOO_LARGE', `the answer is longer than ${this.#bytesMax} bytes`)
    }
    if (this.#exchange.hasBegun) return this.#exchange.write(bytes)
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    this.#findHead()
    if (this.#head === null || this.#heldBytes <= HELD_BYTES_MAX) return undefined
    this.#exchange.begin(this.#head.status, this.#head.headers)
    return this.#exchange.write(this.#takeHeld())
  }

  /** The program ended as it should. */
  finish(): void {
    if (this.#exchange.hasBegun) {
      this.#exchange.end()
      return
    }
    if (this.#problem !== null) throw this.#problem
    if (this.#head === null) throw invalid('it wrote no headers, or no empty line after them')
    this.#exchange.respond(this.#head.status, this.#head.headers, this.#takeHeld())
  }

  /** The program answered through the host functions instead: what it wrote here is for its log. */
  divert(log: Log): void {
    if (this.#exchange.hasBegun) throw invalid('it wrote one to stdout, and another to its output')
    if (this.#held.length > 0) log('stdout', this.#takeHeld())
  }

  #findHead(): void {
    if (this.#head !== null) return
    try {
      if (this.#problem === null) this.#head = this.#readHead()
    } catch (thrown) {
      if (!(thrown instanceof QuiverError)) throw thrown
      this.#problem = thrown
    }
    if (this.#problem !== null && this.#heldBytes > HELD_BYTES_MAX) throw this.#problem
  }

  #takeHeld(): Uint8Array {
    const [only] = this.#held
    const all = this.#held.length === 1 && only !== undefined ? only : Buffer.concat(this.#held)
    this.#held = []
    return all
  }

  /** Null: its end has not come yet. */
  #readHead(): AnswerHead | null {
    const all = Buffer.from(this.#takeHeld())
    this.#held = [all]
    const end = findHeadEnd(all)
    if (end === null) {
      if (all.length > HEAD_BYTES_MAX) throw invalid('its headers have no end')
      return null
    }
    const head = parseHead(all.toString('latin1', 0, end.headEnd))
    const body = all.subarray(end.bodyAt)
    this.#held = [body]
    this.#heldBytes = body.length
    return head
  }
}

/** Lines may end with LF alone, as programs write them. */
function findHeadEnd(bytes: Buffer): { headEnd: number; bodyAt: number } | null {
  const [short, long] = [bytes.indexOf('\n\n'), bytes.indexOf('\r\n\r\n')]
  if (bytes[0] === 10) return { headEnd: 0, bodyAt: 1 }
  if (long !== -1 && (short === -1 || long < short)) return { headEnd: long, bodyAt: long + 4 }
  return short === -1 ? null : { headEnd: short, bodyAt: short + 2 }
}

/** @throws QuiverError `unavailable/RESPONSE_INVALID` */
function parseHead(text: string): AnswerHead {
  let status: number | null = null
  const headers: string[] = []
  const names = new Set<string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).trim()
    if (colon === -1 || !TOKEN.test(name) || FORBIDDEN.test(value)) {
      throw invalid(`"${line.slice(0, 60)}" is not a header`)
    }
    const lower = name.toLowerCase()
    names.add(lower)
    if (lower === 'status') status = parseStatus(value)
    if (!DROPPED.has(lower)) headers.push(name, value)
  }
  const isComplete = ['content-type', 'location', 'status'].some((name) => names.has(name))
  if (!isComplete) throw invalid('none of its headers is Content-Type, Location or Status')
  return { status: status ?? (names.has('location') ? 302 : 200), headers }
}

function parseStatus(value: string): number {
  const [, digits] = /^([2-5]\d\d)(?: |$)/.exec(value) ?? []
  if (digits === undefined) throw invalid(`"${value.slice(0, 60)}" is not a status`)
  return Number(digits)
}

function invalid(what: string): QuiverError {
  const message = `what the program wrote is not an answer: ${what}`
  return new QuiverError('unavailable', 'RESPONSE_INVALID', message, {
    hint: 'Write "Content-Type: text/plain" and an empty line first, or set stdout = "body" under [wasm].',
  })
}
