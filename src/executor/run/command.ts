/**
 * A WASI command that answers requests, CGI-like: the request on stdin and in the environment, the answer on stdout, unless it
 * uses the host functions, or the files that stand for them, to answer.
 */

import { QuiverError } from '../../core/error.ts'
import { HostSession } from '../host/session.ts'
import { isSpecial, openSpecial } from '../host/special-files.ts'
import type { Exchange } from '../http/exchange.ts'
import { Wasi, WasiExit, type WasiOptions } from '../wasi/wasi.ts'

import { ModuleBinding, type GuestInstance } from './binding.ts'
import { buildCgiEnv } from './cgi.ts'
import { CommandInput } from './command-input.ts'
import { exited } from './failure.ts'
import { CommandOutput } from './output.ts'
import { RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const ENTRY = '_start'
const OK = 200

export class CommandRunner implements Runner {
  readonly #guest: Guest
  readonly #binding: ModuleBinding
  readonly #args: readonly string[]

  constructor(guest: Guest) {
    this.#guest = guest
    this.#binding = new ModuleBinding(guest.module, guest.memory, guest.links, guest.budget)
    this.#args = [guest.plan.argv0, ...guest.plan.args]
  }

  answer(exchange: Exchange): void | Promise<void> {
    const run = new CommandRun(this.#guest, this.#binding, exchange, this.#args)
    // Host functions give the body as a whole, so it has to be there before.
    return this.#binding.hasHost ? run.openSession().then(() => run.run()) : run.run()
  }
}

/** One request. */
class CommandRun {
  readonly #guest: Guest
  readonly #binding: ModuleBinding
  readonly #exchange: Exchange
  readonly #input: CommandInput
  readonly #output: CommandOutput
  readonly #wasi: Wasi
  /** What the host functions have of this request: made for guests that use them. */
  #session: HostSession | null = null

  constructor(guest: Guest, binding: ModuleBinding, exchange: Exchange, args: readonly string[]) {
    const { plan } = guest
    this.#guest = guest
    this.#binding = binding
    this.#exchange = exchange
    this.#input = new CommandInput(exchange.body)
    this.#output = new CommandOutput(exchange, plan.stdout, plan.limits.outputBytes)
    this.#wasi = new Wasi(this.#options(args))
  }

  async openSession(): Promise<HostSession> {
    const { limits } = this.#guest.plan
    const input = await this.#input.takeWhole(limits.inputBytes)
    const host = new RequestHost(this.#guest, this.#exchange, input)
    return (this.#session ??= new HostSession(host))
  }

  run(): void | Promise<void> {
    const instance = this.#binding.instantiate(this.#wasi, this.#session)
    if (this.#binding.mayWait) return this.#wait(instance)
    try {
      instance.call(ENTRY)
    } catch (thrown) {
      rethrowFailure(thrown)
    } finally {
      instance.end()
    }
    this.#respond()
    return undefined
  }

  async #wait(instance: GuestInstance): Promise<void> {
    const stop = (): void => {
      this.#session?.end(goneError())
      this.#wasi.stop(goneError())
    }
    const { gone } = this.#exchange
    gone.addEventListener('abort', stop)
    try {
      await instance.callWaiting(ENTRY)
    } catch (thrown) {
      rethrowFailure(thrown)
    } finally {
      gone.removeEventListener('abort', stop)
      instance.end()
    }
    this.#respond()
  }

  #respond(): void {
    const answer = this.#session?.answer ?? null
    if (answer === null) {
      this.#output.finish()
      return
    }
    this.#output.divert(this.#guest.log)
    this.#exchange.respond(answer.status ?? OK, answer.rawHeaders, answer.body)
  }

  #options(args: readonly string[]): WasiOptions {
    const { plan, log } = this.#guest
    return {
      args,
      env: buildCgiEnv(this.#exchange.head, plan.env),
      stdin: this.#input,
      stdout: this.#output,
      stderr: { write: (bytes) => log('stderr', bytes) },
      preopens: this.#guest.folders,
      fdsMax: plan.limits.files,
      callsPerSecondMax: plan.limits.hostCalls,
      openSpecial: async (name, access) => {
        if (!isSpecial(name)) return undefined
        return openSpecial(this.#session ?? (await this.openSession()), name, access)
      },
    }
  }
}

/** Status 0 is a good end. @throws QuiverError or whatever it was otherwise */
export function rethrowFailure(thrown: unknown): void {
  if (!(thrown instanceof WasiExit)) throw thrown
  if (thrown.status !== 0) throw exited(thrown.status)
}

export function goneError(): QuiverError {
  return new QuiverError('canceled', 'CLIENT_GONE', 'the client went away')
}
