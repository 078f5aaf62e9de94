/** An input→output function: it reads the request and writes the answer through the host functions. */

import { HostSession } from '../host/session.ts'
import { openSpecial } from '../host/special-files.ts'
import type { Exchange } from '../http/exchange.ts'
import { noEntry } from '../inspect.ts'
import { Wasi, WasiExit } from '../wasi/wasi.ts'

import { ModuleBinding, type GuestInstance } from './binding.ts'
import { goneError } from './command.ts'
import { exited } from './failure.ts'
import { readInput } from './input.ts'
import { RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const INITIALIZE = '_initialize'
const EMPTY = new Uint8Array(0)
const OK = 200

export class FunctionRunner implements Runner {
  readonly #guest: Guest
  readonly #binding: ModuleBinding
  readonly #entry: string

  /** @throws QuiverError `invalid_argument/MODULE_ENTRY_MISSING` */
  constructor(guest: Guest, entry: string | null) {
    this.#guest = guest
    this.#entry = findEntry(guest, entry)
    this.#binding = new ModuleBinding(guest.module, guest.memory, guest.links, guest.budget)
  }

  answer(exchange: Exchange): void | Promise<void> {
    const input = readInput(exchange, this.#guest.plan.limits.inputBytes)
    if (!(input instanceof Promise)) return this.#run(exchange, input)
    return input.then((whole) => this.#run(exchange, whole))
  }

  #run(exchange: Exchange, input: Uint8Array): void | Promise<void> {
    const { plan, log } = this.#guest
    const host = new RequestHost(this.#guest, exchange, input)
    const session = new HostSession(host)
    const wasi = this.#binding.hasWasi
      ? new Wasi({
          args: [plan.argv0, ...plan.args],
          env: plan.env,
          stdout: { write: (bytes) => log('stdout', bytes) },
          stderr: { write: (bytes) => log('stderr', bytes) },
          preopens: this.#guest.folders,
          fdsMax: plan.limits.files,
          callsPerSecondMax: plan.limits.hostCalls,
          openSpecial: (name, access) => openSpecial(session, name, access),
        })
      : null
    const instance = this.#binding.instantiate(wasi, session)
    if (this.#binding.mayWait) return this.#wait(exchange, instance, session, wasi)
    try {
      instance.call(INITIALIZE)
      session.takeResult(instance.call(this.#entry))
    } catch (thrown) {
      rethrowUnlessExit(thrown)
    } finally {
      instance.end()
    }
    respond(exchange, session)
    return undefined
  }

  async #wait(
    exchange: Exchange,
    instance: GuestInstance,
    session: HostSession,
    wasi: Wasi | null,
  ): Promise<void> {
    const stop = (): void => {
      session.end(goneError())
      wasi?.stop(goneError())
    }
    exchange.gone.addEventListener('abort', stop)
    try {
      await instance.callWaiting(INITIALIZE)
      session.takeResult(await instance.callWaiting(this.#entry))
    } catch (thrown) {
      rethrowUnlessExit(thrown)
    } finally {
      exchange.gone.removeEventListener('abort', stop)
      instance.end()
    }
    respond(exchange, session)
  }
}

/** @throws QuiverError `invalid_argument/MODULE_ENTRY_MISSING` */
export function findEntry({ exports }: Guest, entry: string | null): string {
  const names = exports.map(({ name }) => name)
  const found = names.find((name) => name === entry)
  if (found === undefined) throw noEntry(entry, names)
  return found
}

/** A function that ends its program has answered before. */
export function rethrowUnlessExit(thrown: unknown): void {
  if (!(thrown instanceof WasiExit)) throw thrown
  if (thrown.status !== 0) throw exited(thrown.status)
}

export function respond(exchange: Exchange, session: HostSession): void {
  const { answer } = session
  if (answer === null) exchange.respond(OK, [], EMPTY)
  else exchange.respond(answer.status ?? OK, answer.rawHeaders, answer.body)
}
