/** Calls of a component's own functions by name: texts in, as parse-values.ts reads them, and a text out. */

import { assert } from '../../core/assert.ts'
import { QuiverError } from '../../core/error.ts'
import { assertTextsAlone, type CallAnswer, type CallBody } from '../call.ts'
import { findFunction } from '../component/functions.ts'
import { parseValues } from '../component/parse-values.ts'
import { formatValue } from '../component/print-values.ts'
import { ComponentProgram } from '../component/program.ts'
import { describeFunction, type ValueType } from '../component/types.ts'
import type { Exchange } from '../http/exchange.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import type { World } from '../wasi02/world.ts'

import { ComponentGuest } from './component-guest.ts'
import { Memories } from './memories.ts'
import type { Guest } from './runner.ts'

export class CallableComponent {
  readonly #guest: Guest
  readonly #program: ComponentProgram<World>

  constructor(guest: Guest) {
    const { component } = guest
    assert(component !== null, 'a component was prepared as one')
    this.#guest = guest
    const memories = component.given.map((size) => size && new Memories(size))
    this.#program = new ComponentProgram(component, memories, findHostFunction)
  }

  async call(exchange: Exchange, name: string, body: CallBody): Promise<CallAnswer> {
    const { plan, log } = this.#guest
    assertTextsAlone(plan.task, body)
    const { lift, name: found } = findFunction(this.#program.plan, name, plan.task)
    const args = parseValues(`${found}${describeFunction(lift.type)}`, lift.type, body.args)
    const stdout = { write: (bytes: Uint8Array) => log('stdout', bytes) }
    const stdio = { env: plan.env, stdin: { read: () => null }, stdout }
    using guest = new ComponentGuest(this.#guest, this.#program, stdio, 0)
    const value = await guest.run(exchange, lift, args)
    return { value: format(found, lift.type.result, value) }
  }
}

/** The error of a function is an error of the call. @throws QuiverError `unavailable/EXPORT_FAILED` */
function format(name: string, type: ValueType | null, value: unknown): string | null {
  if (type?.kind !== 'result') return formatValue(type, value)
  const { tag, val }: Readonly<Record<string, unknown>> = { ...Object(value) }
  if (tag === 'ok') return formatValue(type.ok, val)
  const error = formatValue(type.error, val)
  const message = error === null ? `${name} failed` : `${name} failed with ${error}`
  throw new QuiverError('unavailable', 'EXPORT_FAILED', message)
}
