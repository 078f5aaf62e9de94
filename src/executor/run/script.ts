/** A script that answers requests: loaded once, and as it was then for each request. */

import type { Exchange } from '../http/exchange.ts'
import { toLines } from '../script/session.ts'

import { readInput } from './input.ts'
import type { Guest, Runner } from './runner.ts'
import {
  type OpenScript,
  RequestWorld,
  type ScriptPlace,
  scriptPlaceOf,
  stalled,
} from './script-place.ts'

export class ScriptRunner implements Runner {
  readonly #guest: Guest
  readonly #place: ScriptPlace

  /** @throws QuiverError as `scriptPlaceOf` */
  constructor(guest: Guest) {
    this.#guest = guest
    this.#place = scriptPlaceOf(guest)
  }

  answer(exchange: Exchange): void | Promise<void> {
    const input = readInput(exchange, this.#guest.plan.limits.inputBytes)
    if (!(input instanceof Promise)) return this.#run(exchange, input)
    return input.then((whole) => this.#run(exchange, whole))
  }

  #run(exchange: Exchange, input: Uint8Array): void | Promise<void> {
    const world = new RequestWorld(this.#guest, exchange)
    const script = this.#place.open(world)
    try {
      script.session.turn((engine) => {
        const body = input.length === 0 ? [] : [engine.newBytes(input)]
        engine.call(script.entries.handle, [engine.newString(headOf(exchange)), ...body])
      })
    } catch (thrown) {
      script.close()
      throw world.explain(script.session.explain(thrown))
    }
    const end = script.session.awaitEnd()
    if (end !== undefined) return this.#wait(exchange, script, world, end)
    script.close()
    if (!exchange.hasBegun) throw stalled()
    return undefined
  }

  async #wait(
    exchange: Exchange,
    script: OpenScript,
    world: RequestWorld,
    end: Promise<void>,
  ): Promise<void> {
    await this.#place.wait(exchange, script, world, end)
    if (!exchange.hasBegun) throw stalled()
  }
}

/** What the prelude reads: method, URL and headers, a line for each. */
function headOf({ head }: Exchange): string {
  const protocol = head.header('x-forwarded-proto') === 'https' ? 'https' : 'http'
  const authority = head.header('host') ?? 'localhost'
  // A target such as `*`, or a whole URL, is put into the form that scripts expect.
  const url = head.target.startsWith('/')
    ? `${protocol}://${authority}${head.target}`
    : `${protocol}://${authority}/`
  return `${head.method}\n${URL.parse(url)?.href ?? 'http://localhost/'}\n${toLines(head.rawHeaders)}`
}
