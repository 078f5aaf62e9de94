/** Imports that another task answers: numbers go over, and buffers whose ids are among them. */

import { QuiverError } from '../../core/error.ts'
import type { Link } from '../facts.ts'

import type { HostSession } from './session.ts'

type LinkFunction = (
  session: HostSession,
  args: readonly (number | bigint)[],
) => Promise<number | bigint | void>

/** What runs when a guest calls the import. A callee that fails ends the caller: a number says nothing of errors. */
export function buildLink(link: Link): LinkFunction {
  const [result] = link.signature.results
  return async (session, args) => {
    const buffers = new Map<number, Uint8Array>()
    for (const arg of args) {
      const found = typeof arg === 'number' ? session.find(arg) : undefined
      if (typeof arg === 'number' && found !== undefined) buffers.set(arg, found.bytes.slice())
    }
    const { value } = await session.host.callTask({
      task: link.task,
      function: link.function,
      args,
      result,
      input: new Uint8Array(0),
      inputHeaders: [],
      buffers,
      answerBytesMax: session.roomBytes,
    })
    if (result === undefined) return undefined
    const isFitting = typeof value === (result === 'i64' ? 'bigint' : 'number')
    if (isFitting) return value
    throw new QuiverError(
      'unavailable',
      'LINK_RESULT_INVALID',
      `${link.function} of task ${link.task} returned no ${result}`,
      { hint: 'Deploy the caller again: the export has changed since.' },
    )
  }
}
