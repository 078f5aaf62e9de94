/** One instance of a component on a serving thread: made for a request, or before there is one. */

import { QuiverError } from '../../core/error.ts'
import { CallRate } from '../call-rate.ts'
import type { ComponentInstance } from '../component/instance.ts'
import type { LiftPlan } from '../component/plan.ts'
import type { ComponentProgram } from '../component/program.ts'
import type { Exchange } from '../http/exchange.ts'
import { World, type WorldOptions } from '../wasi02/world.ts'

import type { Share } from './budget.ts'
import { goneError } from './command.ts'
import { explainFull } from './memory-full.ts'
import { RequestHost } from './request-host.ts'
import type { Guest } from './runner.ts'

const NOTHING = new Uint8Array(0)
const LEVELS = ['debug', 'info', 'warn', 'error'] as const

export type Stdio = Pick<WorldOptions, 'env' | 'stdin' | 'stdout'>

export class ComponentGuest implements Disposable {
  readonly #guest: Guest
  readonly #instance: ComponentInstance<World>
  readonly #share: Share | null
  readonly #initialBytes: number
  readonly #memories: readonly WebAssembly.Memory[]
  #exchange: Exchange | undefined
  #host: RequestHost | undefined
  /** Ends what it has asked for outside; made with the first such request. */
  #ended: AbortController | undefined

  /**
   * @param expectedBytes  of memory that it begins with, as far as that is known
   * @throws LimitBreach `OUT_OF_MEMORY`, or whatever its core modules begin with
   */
  constructor(guest: Guest, program: ComponentProgram<World>, stdio: Stdio, expectedBytes: number) {
    const { budget, plan } = guest
    const rate = new CallRate(plan.limits.hostCalls)
    const share = budget?.open(expectedBytes) ?? null
    this.#guest = guest
    this.#share = share
    try {
      share?.enter()
      const watch = { turns: share, count: () => rate.count() }
      this.#instance = program.instantiate(new World(this.#options(stdio)), watch)
      share?.yield()
    } catch (thrown) {
      share?.close()
      throw thrown
    }
    const { memories } = this.#instance
    this.#memories = memories
    this.#initialBytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
    share?.hold({ memories, stop: (reason) => this.#instance.stop(reason) })
  }

  get initialBytes(): number {
    return this.#initialBytes
  }

  /** Once. @throws whatever it failed with */
  async run(exchange: Exchange, entry: LiftPlan, args: readonly unknown[]): Promise<unknown> {
    this.#exchange = exchange
    const stop = (): void => this.#instance.stop(goneError())
    exchange.gone.addEventListener('abort', stop)
    try {
      this.#share?.enter()
      const calling = this.#instance.call(entry, args)
      this.#share?.yield()
      return await calling
    } catch (thrown) {
      throw explainFull(thrown, this.#memories, this.#initialBytes, this.#share?.bytesMax)
    } finally {
      exchange.gone.removeEventListener('abort', stop)
    }
  }

  [Symbol.dispose](): void {
    this.#instance.close()
    this.#share?.close()
    this.#ended?.abort(abandoned())
  }

  #options(stdio: Stdio): WorldOptions {
    const { plan, folders, log } = this.#guest
    return {
      ...stdio,
      args: [plan.argv0, ...plan.args],
      preopens: folders,
      stderr: { write: (bytes) => log('stderr', bytes) },
      filesMax: plan.limits.files,
      answerBytesMax: plan.limits.outputBytes,
      send: async (url, request) => {
        const { signal } = (this.#ended ??= new AbortController())
        return await this.#openHost().open(url, { ...request, signal })
      },
      log: (level, context, message) => {
        const text = context === '' ? message : `${context}: ${message}`
        const known = LEVELS.find((one) => one === level) ?? 'error'
        this.#openHost().log(known, text)
      },
    }
  }

  #openHost(): RequestHost {
    if (this.#exchange === undefined) throw new Error('a guest reaches out before its request')
    return (this.#host ??= new RequestHost(this.#guest, this.#exchange, NOTHING))
  }
}

function abandoned(): QuiverError {
  const message = 'the guest ended before its request to another server did'
  return new QuiverError('canceled', 'REQUEST_ABANDONED', message)
}
