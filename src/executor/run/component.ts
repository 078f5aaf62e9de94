/**
 * A component of WASI 0.2 that answers requests: through `wasi:http/incoming-handler`, or as a command that is run for each
 * request, CGI-like. Each has a fresh instance. That of a handler depends on no request, so the next one is made as soon as
 * there is nothing to do.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'

import { assert } from '../../core/assert.ts'
import { QuiverError } from '../../core/error.ts'
import type { LiftPlan } from '../component/plan.ts'
import { liftedFunction } from '../component/prepare.ts'
import { ComponentProgram } from '../component/program.ts'
import type { Exchange } from '../http/exchange.ts'
import { IncomingRequest, ResponseOutparam } from '../wasi02/http-server.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import type { World } from '../wasi02/world.ts'

import { buildCgiEnv } from './cgi.ts'
import { rethrowFailure } from './command.ts'
import { ComponentGuest, type Stdio } from './component-guest.ts'
import { isError } from './component-result.ts'
import { exited } from './failure.ts'
import { Memories } from './memories.ts'
import { CommandOutput } from './output.ts'
import type { Guest, Runner } from './runner.ts'

/** Memories of guests are large when there is an engine in them. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024

export class ComponentRunner implements Runner {
  readonly #guest: Guest
  readonly #program: ComponentProgram<World>
  readonly #entry: LiftPlan
  readonly #isCommand: boolean
  /** What an instance begins with; not known before the first. */
  #initialBytes = 0
  #inFlight = 0
  /** No request has seen it. */
  #spare: ComponentGuest | undefined

  constructor(guest: Guest) {
    const { component, kind } = guest
    assert(component !== null && kind.kind === 'component', 'a component was prepared as one')
    this.#guest = guest
    const memories = component.given.map((size) => size && new Memories(size, KEPT_BYTES_MAX))
    this.#program = new ComponentProgram(component, memories, findHostFunction)
    this.#isCommand = kind.world === 'wasi:cli/command'
    this.#entry = liftedFunction(component.plan, kind)
  }

  async answer(exchange: Exchange): Promise<void> {
    if (this.#isCommand) {
      await this.#runCommand(exchange)
      return
    }
    this.#inFlight++
    try {
      await this.#handle(exchange)
    } finally {
      this.#inFlight--
    }
    // The answer leaves first. Until this returns, the thread is watched: start functions can loop too.
    await nextTurn()
    this.#makeSpare()
  }

  async #handle(exchange: Exchange): Promise<void> {
    const outparam = new ResponseOutparam(exchange)
    {
      // What it leaves open is closed with it, a body too.
      using guest = this.#takeGuest()
      await guest.run(exchange, this.#entry, [new IncomingRequest(exchange), outparam])
    }
    if (!outparam.isSet) {
      const message = 'the guest ended without an answer'
      throw new QuiverError('unavailable', 'RESPONSE_INVALID', message)
    }
    // It did not finish the body, and the client must notice.
    if (!exchange.isOver) exchange.break()
  }

  async #runCommand(exchange: Exchange): Promise<void> {
    const { plan } = this.#guest
    const output = new CommandOutput(exchange, plan.stdout, plan.limits.outputBytes)
    const env = buildCgiEnv(exchange.head, plan.env)
    using guest = this.#make({ env, stdin: exchange.body, stdout: output })
    try {
      if (isError(await guest.run(exchange, this.#entry, []))) throw exited(1)
    } catch (thrown) {
      rethrowFailure(thrown)
    }
    output.finish()
  }

  #takeGuest(): ComponentGuest {
    const spare = this.#spare
    this.#spare = undefined
    return spare ?? this.#makeHandler()
  }

  #makeHandler(): ComponentGuest {
    const { plan, log } = this.#guest
    const stdout = { write: (bytes: Uint8Array) => log('stdout', bytes) }
    return this.#make({ env: plan.env, stdin: { read: () => null }, stdout })
  }

  #make(stdio: Stdio): ComponentGuest {
    const guest = new ComponentGuest(this.#guest, this.#program, stdio, this.#initialBytes)
    this.#initialBytes ||= guest.initialBytes
    return guest
  }

  #makeSpare(): void {
    if (this.#inFlight > 0 || this.#spare !== undefined) return
    try {
      this.#spare = this.#makeHandler()
    } catch {
      // The next request tries again, and is told why it fails.
    }
  }
}
