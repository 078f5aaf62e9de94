/** Reads the values that several flags share. Each throws a `QuiverError` that says how to write it. */

import path from 'node:path'

import { QuiverError } from '../core/error.ts'
import { parseMilliseconds } from '../core/units.ts'

/** `10%` or `10`, 1–100. @throws QuiverError `invalid_argument/PERCENT_INVALID` */
export function parsePercent(text: string): number {
  const [, digits = ''] = /^(\d{1,3})%?$/.exec(text) ?? []
  const percent = Number(digits)
  if (percent >= 1 && percent <= 100) return percent
  throw new QuiverError('invalid_argument', 'PERCENT_INVALID', `"${text}" is not a share`, {
    hint: 'Write a whole percentage from 1% to 100%.',
  })
}

/** Cores, `1` or `0.5`, as thousandths. @throws QuiverError `invalid_argument/CPU_INVALID` */
export function parseCores(text: string): number {
  const millis = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Math.round(Number(text) * 1000) : 0
  if (millis >= 1) return millis
  throw new QuiverError('invalid_argument', 'CPU_INVALID', `"${text}" is not a number of cores`, {
    hint: 'Write a number such as 1 or 0.5.',
  })
}

export interface Publish {
  readonly address: string
  readonly hostPort: number
  readonly port: number
}

/**
 * `9000:8000`, host port first, or `0.0.0.0:9000:8000`; `8000` alone for the same port on both sides. Loopback unless
 * an address is written.
 *
 * @throws QuiverError `invalid_argument/PUBLISH_INVALID`
 */
export function parsePublish(text: string): Publish {
  const pattern = /^(?:(?:\[([0-9a-fA-F:.]+)\]|(\d+(?:\.\d+){3})):)?(?:(\d{1,5}):)?(\d{1,5})$/
  const [match, v6, v4, first, last = ''] = pattern.exec(text) ?? []
  const port = Number(last)
  const hostPort = Number(first ?? last)
  const isValid = match !== undefined && port >= 1 && port <= 65_535 && hostPort <= 65_535
  const hasPort = first !== undefined || (v4 === undefined && v6 === undefined)
  if (isValid && hasPort) return { address: v6 ?? v4 ?? '127.0.0.1', hostPort, port }
  throw new QuiverError('invalid_argument', 'PUBLISH_INVALID', `"${text}" is not a port mapping`, {
    hint: 'Write HOST_PORT:PORT, such as 9000:8000, or ADDRESS:HOST_PORT:PORT.',
  })
}

export interface SharedFolder {
  /** As it was written: perhaps relative. */
  readonly source: string
  /** Absolute. */
  readonly target: string
  readonly isWritable: boolean
}

/**
 * `HOST`, `HOST:GUEST`, and `:rw` after either. Without GUEST it has the same name inside: `/srv/in` for `/srv/in`, `/in` for `./in`.
 *
 * @throws QuiverError `invalid_argument/DIR_INVALID`
 */
export function parseSharedFolder(text: string): SharedFolder {
  const [, source, guest, isWritable] = /^([^:]+?)(?::(\/[^:]*))?(:rw)?$/.exec(text) ?? []
  if (source !== undefined) {
    const target = path.posix.resolve('/', guest ?? source)
    return { source, target, isWritable: isWritable !== undefined }
  }
  throw new QuiverError('invalid_argument', 'DIR_INVALID', `"${text}" is not a shared folder`, {
    hint: 'Write HOST, HOST:/GUEST or HOST:/GUEST:rw; a path inside is absolute, and none has a colon.',
  })
}

/**
 * A point in time: a duration before now, such as `10m`, or a date as in ISO 8601.
 *
 * @returns milliseconds since the epoch
 * @throws QuiverError `invalid_argument/TIME_INVALID`
 */
export function parseSince(text: string, nowMs = Date.now()): number {
  if (/^\d+[a-z]+$/.test(text)) return nowMs - parseMilliseconds(text)
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(atMs)) return atMs
  throw new QuiverError('invalid_argument', 'TIME_INVALID', `"${text}" is not a time`, {
    hint: 'Write how long ago, such as 10m, or a time such as 2026-05-01T12:00:00Z.',
  })
}

/** A whole number from 0. @throws QuiverError `invalid_argument/NUMBER_INVALID` */
export function parseCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new QuiverError('invalid_argument', 'NUMBER_INVALID', `"${text}" is not a number`, {
    hint: 'Write a whole number.',
  })
}

/** As many as `scale.max` of a manifest may say. */
const INSTANCES_MAX = 1000

/** A number of instances, or `auto`: as the manifest says. @throws QuiverError `invalid_argument/NUMBER_INVALID` */
export function parseInstances(text: string): number | null {
  if (text === 'auto') return null
  const count = parseCount(text)
  if (count <= INSTANCES_MAX) return count
  throw new QuiverError('invalid_argument', 'NUMBER_INVALID', `${text} instances are too many`, {
    hint: `Write a whole number from 0 to ${INSTANCES_MAX}, or "auto".`,
  })
}
