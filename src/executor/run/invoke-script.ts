/**
 * Calls of what a script exports, by name. An argument that is JSON is what it says, and any other is a text; what the function
 * returns, or resolves to, is printed: texts as they are, all else as JSON.
 */

import { QuiverError } from '../../core/error.ts'
import { assertTextsAlone, type CallAnswer, type CallBody, exportNotFound } from '../call.ts'
import type { Exchange } from '../http/exchange.ts'

import { breach } from './failure.ts'
import type { Guest } from './runner.ts'
import {
  RequestWorld,
  type OpenScript,
  type ScriptPlace,
  scriptPlaceOf,
  stalled,
} from './script-place.ts'

/** As the prelude answers: a value was returned, or nothing was. */
const VALUE = 200

export class CallableScript {
  readonly #guest: Guest
  readonly #place: ScriptPlace

  constructor(guest: Guest) {
    this.#guest = guest
    this.#place = scriptPlaceOf(guest)
  }

  async call(exchange: Exchange, name: string, body: CallBody): Promise<CallAnswer> {
    const { task, limits } = this.#guest.plan
    assertTextsAlone(task, body)
    const world = new CallWorld(this.#guest, exchange, limits.outputBytes)
    const script = this.#place.open(world)
    try {
      assertCallable(listExports(script), name, body.args.length, task)
      script.session.turn((engine) => {
        const args = engine.newString(JSON.stringify(body.args))
        engine.call(script.entries.callExport, [engine.newString(name), args])
      })
    } catch (thrown) {
      script.close()
      throw world.explain(script.session.explain(thrown))
    }
    const end = script.session.awaitEnd()
    if (end === undefined) script.close()
    else await this.#place.wait(exchange, script, world, end)
    if (world.value === undefined) throw stalled()
    return { value: world.value }
  }
}

class CallWorld extends RequestWorld {
  readonly #bytesMax: number
  /** Undefined: it has not returned; null: it returned nothing. */
  value: string | null | undefined

  constructor(guest: Guest, exchange: Exchange, bytesMax: number) {
    super(guest, exchange)
    this.#bytesMax = bytesMax
  }

  override respond(status: number, _rawHeaders: readonly string[], body: Uint8Array): void {
    if (body.length > this.#bytesMax) {
      throw breach('OUTPUT_TOO_LARGE', `the value is longer than ${this.#bytesMax} bytes`)
    }
    const { buffer, byteOffset, length } = body
    this.value = status === VALUE ? Buffer.from(buffer, byteOffset, length).toString('utf8') : null
  }
}

/** Names, and how many parameters each has at least. Whatever the script makes of it is checked. */
function listExports({ session, entries }: OpenScript): ReadonlyMap<string, number> {
  const listed = session.turn((engine) => engine.toText(engine.call(entries.listExports, [])))
  const functions = new Map<string, number>()
  for (const line of listed.split('\n')) {
    const [, count, name] = /^(\d{1,6}) (.+)$/.exec(line) ?? []
    if (name !== undefined) functions.set(name, Number(count))
  }
  return functions
}

function assertCallable(
  functions: ReadonlyMap<string, number>,
  name: string,
  given: number,
  task: string,
): void {
  const least = functions.get(name)
  if (least === undefined) throw exportNotFound(task, name, [...functions.keys()])
  if (given >= least) return
  const count = `${least} ${least === 1 ? 'argument' : 'arguments'}`
  const message = `${name} takes at least ${count}, and ${given} were given`
  throw new QuiverError('invalid_argument', 'CALL_ARGUMENTS', message, {
    hint: 'Write numbers, true, false and texts as they are, and lists and objects as JSON.',
  })
}
