/** Files that guests open by name through libc: the request's bodies, the answer, and what a URL answers with. */

import { QuiverError } from '../../core/error.ts'
import { GUEST_ERROR } from '../../guest/functions.ts'

import { getUrl } from './outgoing.ts'
import { GuestError, type HostSession } from './session.ts'

/** A file without a size or a place to seek to: it is read from its beginning, or written to its end. */
export interface SpecialFile {
  readonly access: 'read' | 'write'
  /** The next bytes, at most as many; empty at the end. A view: copy them before anything else happens. */
  read(bytesMax: number): Uint8Array
  /** Takes all bytes, and copies them. Traps when a limit is reached. */
  write(bytes: Uint8Array): void
}

const INPUT = /^api:\/\/input(?:\/(\d{1,6}))?$/
const URLS = /^https?:\/\//

/**
 * Opens what a guest names by a whole path, not relative to anything.
 *
 * @returns undefined when the path names no such file, and is one of the file system's
 * @throws QuiverError `not_found` for an input that was not sent, and as `GuestHost.fetch`
 */
export function openSpecial(
  session: HostSession,
  path: string,
): SpecialFile | Promise<SpecialFile> | undefined {
  if (path === 'api://output') return outputFile(session)
  const [whole, index = '0'] = INPUT.exec(path) ?? []
  if (whole !== undefined) {
    const bytes = index === '0' ? session.input.bytes : session.host.inputs[Number(index)]
    if (bytes !== undefined) return inputFile(bytes)
    const sent = session.host.inputs.length
    throw new QuiverError('not_found', 'INPUT_NOT_FOUND', `there is no ${path}: ${sent} were sent`)
  }
  return URLS.test(path) ? openUrl(session, path) : undefined
}

async function openUrl(session: HostSession, url: string): Promise<SpecialFile> {
  try {
    const { body } = await getUrl(session, url)
    return inputFile(body)
  } catch (thrown) {
    if (!(thrown instanceof GuestError)) throw thrown
    throw new QuiverError(codeOf(thrown.result), 'URL_NOT_READ', `${url} could not be read`)
  }
}

function codeOf(
  result: number,
): 'not_found' | 'permission_denied' | 'invalid_argument' | 'unavailable' {
  if (result === GUEST_ERROR.NOT_FOUND) return 'not_found'
  if (result === GUEST_ERROR.DENIED) return 'permission_denied'
  return result === GUEST_ERROR.INVALID_ARGUMENT ? 'invalid_argument' : 'unavailable'
}

function inputFile(bytes: Uint8Array): SpecialFile {
  let at = 0
  return {
    access: 'read',
    read(bytesMax) {
      const piece = bytes.subarray(at, at + bytesMax)
      at += piece.length
      return piece
    },
    write: refuse,
  }
}

function outputFile(session: HostSession): SpecialFile {
  return {
    access: 'write',
    read: refuse,
    write: (bytes) => session.append(session.output, bytes),
  }
}

function refuse(): never {
  throw new QuiverError('permission_denied', 'FILE_ONE_WAY', 'it can be read or written, not both')
}
