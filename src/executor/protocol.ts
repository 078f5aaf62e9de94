/**
 * What control and an executor say to each other, over one stream to the executor's control port.
 *
 * A frame is two lengths (32-bit little endian: of the JSON, of the bytes), a JSON object, and bytes. Control asks, and
 * each question has one answer with its id; what the executor says of its own accord has none. A lost connection loses no
 * instance: control connects again, and asks for the list.
 */

import type { Duplex } from 'node:stream'

import { CODES, QuiverError, type Code } from '../core/error.ts'

/** A folder of the host, mounted into the sandbox of a module's own, for a run. */
export interface SharedFolder {
  /** What the guest calls it: absolute. */
  readonly name: string
  /** Where it is mounted. */
  readonly path: string
  readonly isWritable: boolean
}

/** How one module is run. Survives in the executor as long as the instance. */
export interface ModulePlan {
  readonly task: string
  /** argv without the program's name. */
  readonly args: readonly string[]
  readonly argv0: string
  readonly env: Readonly<Record<string, string>>
  /** What a command writes: an answer with its headers (RFC 3875), or only the body of one. */
  readonly stdout: 'cgi' | 'body'
  /** The export that answers requests; null: as the kind of the module has it. */
  readonly entry: string | null
  /** One instance of the module serves many requests, one at a time; else each request has its own. */
  readonly isReused: boolean
  readonly limits: ModuleLimits
  readonly outside: OutsidePlan
  /** What the module, a JavaScript engine, runs; null: it is a program itself. */
  readonly script: ScriptSource | null
}

/** JavaScript, as an ECMAScript module of one file. */
export interface ScriptSource {
  /** As it is called in messages: its path in the image. */
  readonly name: string
  readonly text: string
}

/** What a module may reach. */
export interface OutsidePlan {
  /** Where connections are asked for, and what proves whose they are; null: names lead there, as in any sandbox. */
  readonly egress: { readonly path: string; readonly token: string } | null
  /** Names, addresses, or `*.` and a domain. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  /** Other tasks, each by the name and port that it has here. */
  readonly tasks: readonly { readonly name: string; readonly port: number; readonly task: string }[]
}

/** Nothing. */
export const NO_OUTSIDE: OutsidePlan = { egress: null, hosts: [], tasks: [] }

export interface ModuleLimits {
  /** Linear memory of all requests in flight together, and of each. */
  readonly memoryBytes: number
  /** Computing without a pause, and in all for one request. Milliseconds. */
  readonly cpuTimeMs: number
  /** Thousandths of a processor, for all requests together; null: not limited. */
  readonly cpuMillis: number | null
  readonly requestTimeoutMs: number
  /** Largest answer of one request. */
  readonly outputBytes: number
  /** Largest request body that is given to a guest as a whole. */
  readonly inputBytes: number
  /** Open files and buffers of one request. */
  readonly files: number
  /** Host calls per second of one request. */
  readonly hostCalls: number
}

/** A file of the image. */
export interface FileSize {
  /** Relative, without `.` and `..`. */
  readonly path: string
  readonly length: number
}

export type ToExecutor =
  /** With the module's bytes, and those of the files one after the other. Answered once it listens. */
  | {
      readonly type: 'serve'
      readonly instance: string
      readonly plan: ModulePlan
      readonly files: readonly FileSize[]
    }
  /** Requests that are being answered end first. */
  | { readonly type: 'stop'; readonly instance: string; readonly graceMs: number }
  /** With a module's bytes. */
  | {
      readonly type: 'inspect'
      /** Null: it is only described. */
      readonly demand: ModuleDemand | null
      readonly script: ScriptSource | null
    }
  | { readonly type: 'list' }
  | { readonly type: 'usage'; readonly instance: string }

export interface Serving {
  readonly instance: string
  /** TCP port on the executor's loopback. */
  readonly port: number
}

/** What a module has to be fit for. */
export interface ModuleDemand {
  /** As in `ModulePlan`. */
  readonly entry: string | null
  readonly memoryBytes: number
  /** One instance for all requests. */
  readonly isReused: boolean
  /** It runs once and ends, instead of answering requests. */
  readonly isRun: boolean
}

export interface Inspection {
  readonly kind: string
  readonly entry: string | null
  /** The first ones, without those that toolchains add. */
  readonly exports: readonly { readonly name: string; readonly signature: string }[]
  /** Of all that are exported. */
  readonly exportCount: number
  readonly links: readonly {
    readonly task: string
    readonly function: string
    readonly signature: string
  }[]
  readonly producers: readonly string[]
  readonly memoryBytes: number
}

export interface ModuleUsage {
  readonly memoryBytes: number
  readonly memoryBytesMax: number
  readonly cpuNs: number
}

/** As `ErrorBody` of the API: names what, why, and what to do. */
export interface Failure {
  readonly code: string
  readonly reason: string
  readonly message: string
  readonly hint?: string
}

/** What each question is answered with. */
export interface Answers {
  readonly serve: Serving
  readonly stop: null
  readonly inspect: Inspection
  readonly list: readonly Serving[]
  readonly usage: ModuleUsage
}

export type Asked = ToExecutor & { readonly id: number }

export type FromExecutor =
  /** With one of `Answers`, as JSON. */
  | { readonly type: 'done'; readonly id: number; readonly result: string }
  | { readonly type: 'failed'; readonly id: number; readonly error: Failure }
  /** With the bytes that a guest, or `quiver` about it, wrote. */
  | {
      readonly type: 'log'
      readonly instance: string
      readonly stream: LogStream
      readonly atMs: number
    }
  /** A guest was ended for a limit. `isFatal`: with all requests that were in flight; the next ones are served. */
  | {
      readonly type: 'breach'
      readonly instance: string
      readonly error: Failure
      readonly isFatal: boolean
    }
  /** Another connection is control's now: the last message on this one. */
  | { readonly type: 'replaced' }

export type LogStream = 'stdout' | 'stderr' | 'quiver'

const HEADER_BYTES = 8
/** Larger than the largest module. */
const FRAME_BYTES_MAX = 512 * 1024 * 1024
const EMPTY = new Uint8Array(0)

export interface Frame<T> {
  readonly message: T
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** @returns false: the other side takes no more for now */
export function writeFrame(stream: Duplex, message: object, bytes: Uint8Array = EMPTY): boolean {
  const json = Buffer.from(JSON.stringify(message))
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32LE(json.length, 0)
  header.writeUInt32LE(bytes.length, 4)
  stream.cork()
  stream.write(header)
  stream.write(json)
  const isTaken = bytes.length === 0 || stream.write(bytes)
  stream.uncork()
  return isTaken
}

/**
 * Frames as they come, until the stream ends.
 *
 * @throws Error when the other side does not speak this protocol, or the stream breaks
 */
export async function* readFrames<T>(stream: Duplex): AsyncGenerator<Frame<T>, void, undefined> {
  const parts: Buffer<ArrayBuffer>[] = []
  let available = 0
  let needed = HEADER_BYTES
  for await (const part of stream) {
    parts.push(part)
    available += part.length
    while (available >= needed) {
      const all = parts.length === 1 ? parts[0] : Buffer.concat(parts.splice(0), available)
      if (all === undefined) break
      parts.length = 0
      const jsonBytes = all.readUInt32LE(0)
      const total = HEADER_BYTES + jsonBytes + all.readUInt32LE(4)
      if (total > FRAME_BYTES_MAX) throw new Error('a frame is too large')
      if (all.length >= total) {
        const jsonEnd = HEADER_BYTES + jsonBytes
        const message: T = JSON.parse(all.toString('utf8', HEADER_BYTES, jsonEnd))
        yield { message, bytes: all.subarray(jsonEnd, total) }
        if (all.length > total) parts.push(all.subarray(total))
        available = all.length - total
        needed = HEADER_BYTES
      } else {
        parts.push(all)
        needed = total
      }
    }
  }
}

export function toError({ code, reason, message, hint }: Failure): QuiverError {
  const known = isCode(code) ? code : 'internal'
  const options = hint === undefined ? {} : { hint }
  return new QuiverError(known, reason, message, options)
}

function isCode(code: string): code is Code {
  return Object.hasOwn(CODES, code)
}
