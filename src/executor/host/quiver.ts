/** The functions of import module `quiver` that return at once. What they do is said in src/guest/quiver.wit. */

import { GUEST_ERROR, LOG_LEVELS } from '../../guest/functions.ts'

import { type ExchangeBuffer, findHeader } from './exchange-buffer.ts'
import type { HostFunctions } from './host-function.ts'
import { GuestError, type HostSession, STATUS_MAX, STATUS_MIN } from './session.ts'

const NS_PER_MS = 1e6
/** A message that is longer is cut. */
const MESSAGE_BYTES_MAX = 16 * 1024

export const QUIVER_FUNCTIONS: HostFunctions = {
  buffer_create: (session, content, length) => session.adopt(session.area(content, length).slice()),
  buffer_input: (session) => session.inputId,
  buffer_output: (session) => session.outputId,
  buffer_size: (session, id) => session.buffer(id).size,

  buffer_read(session, id, offset, into, capacity) {
    const { bytes } = session.buffer(id)
    const start = offset >>> 0
    if (start > bytes.length) throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
    return session.give(bytes.subarray(start), into, capacity)
  },

  buffer_write(session, id, content, length) {
    const bytes = session.area(content, length)
    session.append(session.buffer(id), bytes)
    return bytes.length
  },

  buffer_header(session, id, name, nameLength, into, capacity) {
    const value = session.buffer(id).header(session.latin1(name, nameLength))
    return giveFound(session, latin1(value), into, capacity)
  },

  buffer_headers(session, id, into, capacity) {
    const { rawHeaders } = session.buffer(id)
    let lines = ''
    for (let index = 0; index < rawHeaders.length; index += 2) {
      lines += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\n`
    }
    return session.give(Buffer.from(lines, 'latin1'), into, capacity)
  },

  buffer_set_header(session, id, name, nameLength, value, valueLength) {
    const buffer = session.buffer(id)
    const key = session.latin1(name, nameLength)
    const text = session.latin1(value, valueLength)
    return setHeader(buffer, key, text)
  },

  buffer_add_header(session, id, name, nameLength, value, valueLength) {
    const buffer = session.buffer(id)
    const key = session.latin1(name, nameLength)
    return addHeader(buffer, key, session.latin1(value, valueLength))
  },

  buffer_status: (session, id) => session.buffer(id).status,

  buffer_set_status(session, id, status) {
    const buffer = session.buffer(id)
    if (status < STATUS_MIN || status > STATUS_MAX) return GUEST_ERROR.INVALID_ARGUMENT
    buffer.setStatus(status)
    return 0
  },

  buffer_free(session, id) {
    if (session.free(id)) return 0
    return session.find(id) === undefined
      ? GUEST_ERROR.UNKNOWN_BUFFER
      : GUEST_ERROR.INVALID_ARGUMENT
  },

  request_method: (session, into, capacity) =>
    session.give(Buffer.from(session.host.request.method, 'latin1'), into, capacity),
  request_path: (session, into, capacity) =>
    session.give(Buffer.from(session.host.request.path, 'latin1'), into, capacity),
  request_query_string: (session, into, capacity) =>
    session.give(Buffer.from(session.host.request.query, 'latin1'), into, capacity),

  request_param(session, name, length, into, capacity) {
    const value = session.host.request.params.get(session.text(name, length))
    return giveFound(session, utf8(value), into, capacity)
  },

  request_query(session, name, length, into, capacity) {
    const value = findQuery(session.host.request.query, session.text(name, length))
    return giveFound(session, utf8(value), into, capacity)
  },

  request_header(session, name, length, into, capacity) {
    const value = findHeader(session.host.request.rawHeaders, session.latin1(name, length))
    return giveFound(session, latin1(value), into, capacity)
  },

  time_realtime: () =>
    // As exact as the clock is, which is finer than Date.now().
    BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  time_monotonic: () => BigInt(Math.round(performance.now() * NS_PER_MS)),

  base64_encode(session, data, length, into, capacity) {
    const bytes = session.area(data, length)
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    return session.give(Buffer.from(text, 'latin1'), into, capacity)
  },

  base64_decode(session, text, length, into, capacity) {
    const bytes = decodeBase64(session.area(text, length))
    return bytes === undefined ? GUEST_ERROR.INVALID_ARGUMENT : session.give(bytes, into, capacity)
  },

  log(session, level, message, length) {
    logMessage(session, LOG_LEVELS[level] ?? 'info', session.area(message, length))
  },
}

export function logMessage(
  session: HostSession,
  level: (typeof LOG_LEVELS)[number],
  message: Uint8Array,
): void {
  const bytes = message.subarray(0, MESSAGE_BYTES_MAX)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  session.host.log(level, bytes.length < message.length ? `${text}…` : text)
}

/** An empty value removes the header. Returns 0 or an error. */
export function setHeader(buffer: ExchangeBuffer, name: string, value: string): number {
  // The new value is tried first, so that an error changes nothing.
  const before = buffer.header(name)
  if (value !== '') {
    const result = addHeader(buffer, name, value)
    if (result !== 0 || before === undefined) return result
    buffer.removeHeader(name)
    return addHeader(buffer, name, value)
  }
  buffer.removeHeader(name)
  return 0
}

function addHeader(buffer: ExchangeBuffer, name: string, value: string): number {
  const added = buffer.addHeader(name, value)
  if (added === 'added') return 0
  return added === 'full' ? GUEST_ERROR.TOO_LARGE : GUEST_ERROR.INVALID_ARGUMENT
}

function giveFound(
  session: HostSession,
  bytes: Uint8Array | undefined,
  into: number,
  capacity: number,
): number {
  return bytes === undefined ? GUEST_ERROR.NOT_FOUND : session.give(bytes, into, capacity)
}

function findQuery(query: string, name: string): string | undefined {
  if (query === '') return undefined
  return new URLSearchParams(Buffer.from(query, 'latin1').toString()).get(name) ?? undefined
}

function latin1(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text, 'latin1')
}

function utf8(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text)
}

/** undefined: it is none. Node's own decoder passes over everything that it does not know. */
function decodeBase64(bytes: Uint8Array): Uint8Array | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  const dense = text.replaceAll(/[\t\n\f\r ]/g, '')
  if (dense.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(dense)) return undefined
  return Buffer.from(dense, 'base64')
}
