/**
 * An input→output function whose instance is kept, because the manifest says so: each request finds what those before it left
 * in memory. One request at a time; what fails, or ends its program, is not used again.
 */

import { HostSession } from '../host/session.ts'
import { openSpecial } from '../host/special-files.ts'
import type { Exchange } from '../http/exchange.ts'
import { Wasi } from '../wasi/wasi.ts'

import { ModuleBinding, type GuestInstance } from './binding.ts'
import { goneError } from './command.ts'
import { findEntry, respond, rethrowUnlessExit } from './function.ts'
import { readInput } from './input.ts'
import { RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const INITIALIZE = '_initialize'

interface Kept {
  readonly instance: GuestInstance
  readonly session: HostSession
  readonly wasi: Wasi | null
}

export class ReusedFunctionRunner implements Runner {
  readonly #guest: Guest
  readonly #binding: ModuleBinding
  readonly #entry: string
  #kept: Kept | null = null
  /** Settles when the request before has its answer. */
  #last: Promise<unknown> = Promise.resolve()

  /** @throws QuiverError `invalid_argument/MODULE_ENTRY_MISSING` */
  constructor(guest: Guest, entry: string | null) {
    this.#guest = guest
    this.#entry = findEntry(guest, entry)
    this.#binding = new ModuleBinding(guest.module, guest.memory, guest.links, guest.budget)
  }

  async answer(exchange: Exchange): Promise<void> {
    const input = await readInput(exchange, this.#guest.plan.limits.inputBytes)
    const answered = this.#last.then(() => this.#answer(exchange, input))
    this.#last = answered.catch(() => {})
    await answered
  }

  async #answer(exchange: Exchange, input: Uint8Array): Promise<void> {
    // Whoever waited for his turn may have gone.
    exchange.gone.throwIfAborted()
    const host = new RequestHost(this.#guest, exchange, input)
    const kept = await this.#take(host)
    const stop = (): void => {
      kept.session.end(goneError())
      kept.wasi?.stop(goneError())
    }
    exchange.gone.addEventListener('abort', stop)
    try {
      kept.session.takeResult(await this.#call(kept, this.#entry))
    } catch (thrown) {
      this.#drop(kept)
      rethrowUnlessExit(thrown)
    } finally {
      exchange.gone.removeEventListener('abort', stop)
    }
    respond(exchange, kept.session)
  }

  async #take(host: RequestHost): Promise<Kept> {
    if (this.#kept !== null) {
      this.#kept.session.renew(host)
      return this.#kept
    }
    const session = new HostSession(host)
    const wasi = this.#binding.hasWasi ? this.#openWasi(session) : null
    const kept = { instance: this.#binding.instantiate(wasi, session), session, wasi }
    try {
      await this.#call(kept, INITIALIZE)
    } catch (thrown) {
      kept.instance.end()
      throw thrown
    }
    this.#kept = kept
    return kept
  }

  async #call({ instance }: Kept, name: string): Promise<unknown> {
    return this.#binding.mayWait ? await instance.callWaiting(name) : instance.call(name)
  }

  #drop(kept: Kept): void {
    kept.instance.end()
    this.#kept = null
  }

  #openWasi(session: HostSession): Wasi {
    const { plan, folders, log } = this.#guest
    return new Wasi({
      args: [plan.argv0, ...plan.args],
      env: plan.env,
      stdout: { write: (bytes) => log('stdout', bytes) },
      stderr: { write: (bytes) => log('stderr', bytes) },
      preopens: folders,
      fdsMax: plan.limits.files,
      callsPerSecondMax: plan.limits.hostCalls,
      openSpecial: (name, access) => openSpecial(session, name, access),
    })
  }
}
