/**
 * A component of WASI 0.2 that answers requests: through `wasi:http/incoming-handler`, or as a command that is run for each
 * request, CGI-like. A fresh instance for each, of modules that were compiled before.
 */

import { assert } from '../../core/assert.ts'
import { QuiverError } from '../../core/error.ts'
import { CallRate } from '../call-rate.ts'
import type { ComponentInstance } from '../component/instance.ts'
import type { LiftPlan } from '../component/plan.ts'
import { liftedFunction } from '../component/prepare.ts'
import { ComponentProgram } from '../component/program.ts'
import type { Exchange } from '../http/exchange.ts'
import { IncomingRequest, ResponseOutparam } from '../wasi02/http-server.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import { World, type WorldOptions } from '../wasi02/world.ts'

import { buildCgiEnv } from './cgi.ts'
import { goneError, rethrowFailure } from './command.ts'
import { isError } from './component-result.ts'
import { exited } from './failure.ts'
import { explainFull } from './memory-full.ts'
import { CommandOutput } from './output.ts'
import { RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const NOTHING = new Uint8Array(0)

export class ComponentRunner implements Runner {
  readonly #guest: Guest
  readonly #program: ComponentProgram<World>
  readonly #entry: LiftPlan
  readonly #isCommand: boolean
  /** What an instance begins with; not known before the first. */
  #initialBytes = 0

  constructor(guest: Guest) {
    const { component, kind } = guest
    assert(component !== null && kind.kind === 'component', 'a component was prepared as one')
    this.#guest = guest
    this.#program = new ComponentProgram(component.plan, component.modules, findHostFunction)
    this.#isCommand = kind.world === 'wasi:cli/command'
    this.#entry = liftedFunction(component.plan, kind)
  }

  async answer(exchange: Exchange): Promise<void> {
    await (this.#isCommand ? this.#runCommand(exchange) : this.#handle(exchange))
  }

  async #handle(exchange: Exchange): Promise<void> {
    const { plan, log } = this.#guest
    const outparam = new ResponseOutparam(exchange)
    await this.#call(exchange, [new IncomingRequest(exchange), outparam], {
      env: plan.env,
      stdin: { read: () => null },
      stdout: { write: (bytes) => log('stdout', bytes) },
    })
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
    try {
      const returned = await this.#call(exchange, [], {
        env: buildCgiEnv(exchange.head, plan.env),
        stdin: exchange.body,
        stdout: output,
      })
      if (isError(returned)) throw exited(1)
    } catch (thrown) {
      rethrowFailure(thrown)
    }
    output.finish()
  }

  async #call(
    exchange: Exchange,
    args: readonly unknown[],
    own: Pick<WorldOptions, 'env' | 'stdin' | 'stdout'>,
  ): Promise<unknown> {
    const { plan, budget } = this.#guest
    const share = budget?.open(this.#initialBytes) ?? null
    const rate = new CallRate(plan.limits.hostCalls)
    const stop = (error: Error): void => instance?.stop(error)
    let instance: ComponentInstance<World> | undefined
    const onGone = (): void => stop(goneError())
    exchange.gone.addEventListener('abort', onGone)
    try {
      share?.enter()
      const watch = { turns: share, count: () => rate.count() }
      instance = this.#program.instantiate(new World(this.#options(exchange, own)), watch)
      const { memories } = instance
      share?.hold({ memories, stop })
      const initialBytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
      this.#initialBytes ||= initialBytes
      try {
        const calling = instance.call(this.#entry, args)
        share?.yield()
        return await calling
      } catch (thrown) {
        throw explainFull(thrown, memories, initialBytes)
      }
    } finally {
      exchange.gone.removeEventListener('abort', onGone)
      instance?.close()
      share?.close()
    }
  }

  #options(exchange: Exchange, own: Pick<WorldOptions, 'env' | 'stdin' | 'stdout'>): WorldOptions {
    const { plan, log } = this.#guest
    let host: RequestHost | undefined
    const openHost = (): RequestHost => (host ??= new RequestHost(this.#guest, exchange, NOTHING))
    return {
      ...own,
      args: [plan.argv0, ...plan.args],
      stderr: { write: (bytes) => log('stderr', bytes) },
      filesMax: plan.limits.files,
      answerBytesMax: plan.limits.outputBytes,
      send: (url, request) => openHost().fetch(url, request),
      log: (level, context, message) => {
        const prefix = context === '' ? '' : `${context}: `
        openHost().log(isLogLevel(level) ? level : 'error', `${prefix}${message}`)
      },
    }
  }
}

function isLogLevel(level: string): level is 'debug' | 'info' | 'warn' | 'error' {
  return ['debug', 'info', 'warn', 'error'].includes(level)
}
