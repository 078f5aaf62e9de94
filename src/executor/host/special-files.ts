/** Files that guests open by name through libc: the request's bodies, the answer, and what a URL answers with. */

import { GUEST_ERROR } from '../../guest/functions.ts'
import type { ByteSink, ByteSource } from '../wasi.ts'

import { getUrl } from './outgoing.ts'
import { GuestError, type HostSession } from './session.ts'

/** How a guest wants to open something. */
interface Access {
  readonly read: boolean
  readonly write: boolean
}

/** One of both: nothing here can be read and written. */
interface OneWay {
  readonly source?: ByteSource
  readonly sink?: ByteSink
}

const OUTPUT = 'api://output'
const INPUT = /^api:\/\/input(?:\/(\d{1,6}))?$/
const URLS = /^https?:\/\//
/** What libc says for an error of the host functions. */
const ERRNOS: Readonly<Record<number, string>> = {
  [GUEST_ERROR.NOT_FOUND]: 'ENOENT',
  [GUEST_ERROR.INVALID_ARGUMENT]: 'EINVAL',
  [GUEST_ERROR.DENIED]: 'EACCES',
  [GUEST_ERROR.UNREACHABLE]: 'EHOSTUNREACH',
  [GUEST_ERROR.TIMED_OUT]: 'ETIMEDOUT',
  [GUEST_ERROR.TOO_LARGE]: 'EFBIG',
}

/** A system error by its name, which the guest gets as its error number. */
class FileError extends Error {
  readonly code: string

  constructor(code: string, what: string) {
    super(`${code}: ${what}`)
    this.code = code
  }
}

/** Whether `openSpecial` has something of this name. */
export function isSpecial(name: string): boolean {
  return name === OUTPUT || INPUT.test(name) || URLS.test(name)
}

/**
 * Opens what a guest names, for the `openSpecial` of `Wasi`. What is written to the answer counts as `buffer_write` does.
 *
 * @returns undefined when the name is none of these
 * @throws a system error, such as `ENOENT` for an input that was not sent
 */
export function openSpecial(
  session: HostSession,
  name: string,
  access: Access,
): OneWay | Promise<OneWay> | undefined {
  if (name === OUTPUT) {
    if (!access.write) throw new FileError('EACCES', `${name} can only be written`)
    return { sink: { write: (bytes) => session.append(session.output, bytes) } }
  }
  const [isInput, index = '0'] = INPUT.exec(name) ?? []
  if (isInput === undefined && !URLS.test(name)) return undefined
  if (!access.read) throw new FileError('EACCES', `${name} can only be read`)
  if (isInput === undefined) return openUrl(session, name)
  const bytes = index === '0' ? session.input.bytes : session.host.inputs[Number(index)]
  if (bytes === undefined) throw new FileError('ENOENT', `there is no ${name}`)
  return { source: sourceOf(bytes) }
}

async function openUrl(session: HostSession, url: string): Promise<OneWay> {
  try {
    const { body } = await getUrl(session, url)
    return { source: sourceOf(body) }
  } catch (thrown) {
    if (!(thrown instanceof GuestError)) throw thrown
    throw new FileError(ERRNOS[thrown.result] ?? 'EIO', `${url} could not be read`)
  }
}

function sourceOf(bytes: Uint8Array): ByteSource {
  let at = 0
  return {
    read(bytesMax) {
      if (at === bytes.length) return null
      const piece = bytes.subarray(at, at + bytesMax)
      at += piece.length
      return piece
    },
  }
}
