/** The functions of `quiver` that wait for others: outgoing HTTP and calls of tasks. */

import { QuiverError } from '../../core/error.ts'
import { GUEST_ERROR } from '../../guest/functions.ts'
import type { IncomingResponse, OutgoingRequest } from '../guest-host.ts'

import type { HostFunctions } from './host-function.ts'
import { GuestError, type HostSession } from './session.ts'

const METHOD = /^[A-Z]{1,32}$/
/** A DNS label, as the names of tasks are. */
const TASK_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** What the guest is told for each code; anything else is FAILED. */
const RESULTS: Readonly<Record<string, number>> = {
  not_found: GUEST_ERROR.NOT_FOUND,
  invalid_argument: GUEST_ERROR.INVALID_ARGUMENT,
  permission_denied: GUEST_ERROR.DENIED,
  unavailable: GUEST_ERROR.UNREACHABLE,
  deadline_exceeded: GUEST_ERROR.TIMED_OUT,
  resource_exhausted: GUEST_ERROR.TOO_LARGE,
}

export const OUTGOING_FUNCTIONS: HostFunctions = {
  async http_fetch(session, method, methodLength, url, urlLength, request) {
    const verb = readMethod(session, method, methodLength)
    const target = parseUrl(session.text(url, urlLength))
    const outgoing = outgoingRequest(session, verb, request)
    return adoptAnswer(session, await settle(session.host.fetch(target, outgoing)))
  },

  async task_request(session, task, taskLength, method, methodLength, path, pathLength, request) {
    const name = readTask(session, task, taskLength)
    const verb = readMethod(session, method, methodLength)
    const target = session.text(path, pathLength)
    if (!/^\/[!-~]*$/.test(target)) throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
    const outgoing = outgoingRequest(session, verb, request)
    return adoptAnswer(session, await settle(session.host.requestTask(name, target, outgoing)))
  },

  async task_call(session, task, taskLength, exported, exportedLength, input) {
    const name = readTask(session, task, taskLength)
    const { bytes, rawHeaders } = session.bufferOrNone(input)
    const result = await settle(
      session.host.callTask({
        task: name,
        function: session.text(exported, exportedLength),
        args: [],
        result: undefined,
        input: bytes.slice(),
        inputHeaders: rawHeaders,
        buffers: new Map(),
        answerBytesMax: session.roomBytes,
      }),
    )
    return adoptAnswer(session, result.output)
  },
}

/** `GET` of a URL. Throws `GuestError`. */
export async function getUrl(session: HostSession, url: string): Promise<IncomingResponse> {
  const outgoing = outgoingRequest(session, 'GET', 0)
  return await settle(session.host.fetch(parseUrl(url), outgoing))
}

/** Makes an answer a buffer of the guest. */
export function adoptAnswer(session: HostSession, answer: IncomingResponse): number {
  return session.adopt(answer.body, answer.rawHeaders, answer.status)
}

/** Turns what the world answered a call with into what the guest is told. */
async function settle<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (thrown) {
    const { code } = QuiverError.from(thrown)
    throw new GuestError(RESULTS[code] ?? GUEST_ERROR.FAILED)
  }
}

function outgoingRequest(session: HostSession, method: string, id: number): OutgoingRequest {
  const { bytes, rawHeaders } = session.bufferOrNone(id)
  // A copy: a guest that is ended meanwhile gives its buffers back.
  return { method, rawHeaders, body: bytes.slice(), answerBytesMax: session.roomBytes }
}

function readMethod(session: HostSession, address: number, length: number): string {
  const method = session.text(address, length)
  if (METHOD.test(method)) return method
  throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
}

function readTask(session: HostSession, address: number, length: number): string {
  const name = session.text(address, length)
  if (TASK_NAME.test(name)) return name
  throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
}

/** The URL in its one form. */
function parseUrl(text: string): string {
  const url = URL.parse(text)
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === null || !isHttp) throw new GuestError(GUEST_ERROR.INVALID_ARGUMENT)
  return url.href
}
