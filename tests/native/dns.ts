/** Asking the name server of an instance: DNS messages (RFC 1035) as hexadecimal digits, sent from inside. */

import assert from 'node:assert/strict'

import { FRAME } from '../../src/core/frames.ts'

import type { Instance } from './harness.ts'

export const NAME_SERVER = '127.0.0.53'
/** Wildcards, and one name of their own, as an instance with them has it. */
export const NAME_RECORDS = [
  ['dns', NAME_SERVER],
  ['wildcard', '443:*.example.com'],
  ['wildcard', '8080:*.example.com'],
  ['wildcard', '80:*.deep.example.com'],
  ['relay', '127.0.0.2:443:api.example.org'],
] as const
/** 127.64.0.0/10, of native/ainit/names.h. */
export const COVERED_ADDRESS = /^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.\d+$/

const SENTINEL = 0xffff
const FRAME_BYTES_MAX = 65_536

export const TYPE = { A: 1, NS: 2, PTR: 12, AAAA: 28, HTTPS: 65, ANY: 255 } as const

export interface QueryOptions {
  readonly id?: number
  readonly type?: number
  readonly class?: number
  /** The third and fourth byte: recursion is wanted unless given. */
  readonly flags?: number
  /** Appended behind the question, such as the options of EDNS; `additional` counts them. */
  readonly tail?: Uint8Array
  readonly counts?: readonly [
    questions: number,
    answers: number,
    authorities: number,
    additional: number,
  ]
}

export interface Answer {
  readonly id: number
  readonly code: number
  /** Of the last record. */
  readonly address: string | undefined
  readonly records: number
  readonly question: string
}

/** @param name  labels joined by dots, or the bytes of a name as they are */
export function query(name: string | Uint8Array, options: QueryOptions = {}): string {
  const header = Buffer.alloc(12)
  const counts = options.counts ?? [1, 0, 0, 0]
  header.writeUInt16BE(options.id ?? 1, 0)
  header.writeUInt16BE(options.flags ?? 0x0100, 2)
  for (const [index, count] of counts.entries()) header.writeUInt16BE(count, 4 + 2 * index)
  const end = Buffer.alloc(4)
  end.writeUInt16BE(options.type ?? TYPE.A, 0)
  end.writeUInt16BE(options.class ?? 1, 2)
  const bytes = typeof name === 'string' ? encodeName(name) : name
  return Buffer.concat([header, bytes, end, options.tail ?? Buffer.alloc(0)]).toString('hex')
}

export function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  const parts = labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]))
  return Buffer.concat([...parts, Buffer.of(0)])
}

/** @param line  hexadecimal digits; `-` for no answer at all */
export function parseAnswer(line: string): Answer | undefined {
  if (line === '-') return undefined
  const bytes = Buffer.from(line, 'hex')
  const labels: string[] = []
  let at = 12
  while (at < bytes.length && bytes.readUInt8(at) > 0) {
    const length = bytes.readUInt8(at)
    labels.push(bytes.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const records = bytes.readUInt16BE(6)
  return {
    id: bytes.readUInt16BE(0),
    code: bytes.readUInt8(3) & 15,
    address: records > 0 ? [...bytes.subarray(-4)].join('.') : undefined,
    records,
    question: labels.join('.'),
  }
}

/** The answers to datagrams, in their order, each as hexadecimal digits. */
export async function ask(
  instance: Instance,
  queries: readonly string[],
): Promise<(Answer | undefined)[]> {
  const sentinel = query('localhost', { id: SENTINEL })
  const session = await instance.exec(['/tmp/probe', 'ask', NAME_SERVER, '53', sentinel])
  const input = Buffer.from(`${queries.join('\n')}\n`)
  for (let at = 0; at < input.length; at += FRAME_BYTES_MAX) {
    session.send(FRAME.STDIN, input.subarray(at, at + FRAME_BYTES_MAX))
  }
  session.send(FRAME.STDIN_EOF)
  const { stdout, stderr, status } = await session.finish()
  assert.equal(status, 0, stderr)
  return stdout.trimEnd().split('\n').map(parseAnswer)
}

export async function addressOf(instance: Instance, name: string): Promise<string> {
  const [answer] = await ask(instance, [query(name)])
  assert.ok(answer?.address !== undefined, `${name} has no address`)
  return answer.address
}
