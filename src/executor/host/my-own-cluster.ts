/**
 * The functions of import module `my-own-cluster`, as its own host answers them: github.com/ltearno/my-own-cluster,
 * `MyOwnClusterWASMAPIPlugin` for what they do, and the README of the same time for their types.
 */

import type { HostFunctions } from './host-function.ts'
import { adoptAnswer, getUrl } from './outgoing.ts'
import { logMessage, setHeader } from './quiver.ts'
import { GuestError } from './session.ts'

/** What `get_url` returns when it fails; anything else returns 0. */
const NO_BUFFER = 0xffff

export const MY_OWN_CLUSTER_FUNCTIONS: HostFunctions = {
  test: () => 0,

  print_debug(session, text, length) {
    const bytes = session.area(text, length)
    logMessage(session, 'debug', bytes)
    return bytes.length
  },

  register_buffer: (session, content, length) =>
    session.adopt(session.area(content, length).slice()),
  get_buffer_size: (session, id) => session.find(id)?.size ?? 0,

  /** Unlike `buffer_read` it wants a buffer of exactly the right size, and else copies nothing. */
  get_buffer(session, id, into, length) {
    const area = session.area(into, length)
    const bytes = session.find(id)?.bytes
    if (bytes === undefined || bytes.length !== area.length) return 0
    return session.give(bytes, into, length)
  },

  write_buffer(session, id, content, length) {
    const bytes = session.area(content, length)
    const buffer = session.find(id)
    if (buffer === undefined) return 0
    session.append(buffer, bytes)
    return bytes.length
  },

  write_buffer_header(session, id, name, nameLength, value, valueLength) {
    const key = session.latin1(name, nameLength)
    const text = session.latin1(value, valueLength)
    const buffer = session.find(id)
    return buffer !== undefined && setHeader(buffer, key, text) === 0 ? 1 : 0
  },

  free_buffer(session, id) {
    session.free(id)
    return 0
  },

  get_input_buffer_id: (session) => session.inputId,
  get_output_buffer_id: (session) => session.outputId,

  async get_url(session, url, length) {
    try {
      return adoptAnswer(session, await getUrl(session, session.text(url, length)))
    } catch (thrown) {
      if (thrown instanceof GuestError) return NO_BUFFER
      throw thrown
    }
  },
}
