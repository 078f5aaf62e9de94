/** A WASI command that answers requests, CGI-like: the request on stdin and in the environment, the answer on stdout. */

import { QuiverError } from '../../core/error.ts'
import { HostSession } from '../host/session.ts'
import type { Exchange } from '../http/exchange.ts'
import { Wasi, WasiExit, type WasiOptions } from '../wasi/wasi.ts'

import { findExport, findWaiting, ModuleBinding } from './binding.ts'
import { buildCgiEnv } from './cgi.ts'
import { exited } from './failure.ts'
import { CommandOutput } from './output.ts'
import { hostLimits, RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const ENTRY = '_start'
const NOTHING = new Uint8Array(0)

export class CommandRunner implements Runner {
  readonly #guest: Guest
  readonly #binding: ModuleBinding
  readonly #args: readonly string[]

  constructor(guest: Guest) {
    this.#guest = guest
    this.#binding = new ModuleBinding(guest.module, [])
    this.#args = [guest.plan.argv0, ...guest.plan.args]
  }

  answer(exchange: Exchange): void | Promise<void> {
    const { plan, log } = this.#guest
    const output = new CommandOutput(exchange, plan.stdout, plan.limits.outputBytes)
    const wasi = new Wasi(this.#options(exchange, output))
    const session = this.#binding.hasHost
      ? new HostSession(new RequestHost(exchange, NOTHING, hostLimits(plan), log))
      : null
    const instance = this.#binding.instantiate(wasi, session)
    if (this.#binding.mayWait) return this.#wait(exchange, instance, wasi, output)
    try {
      findExport(instance, ENTRY)?.()
    } catch (thrown) {
      rethrowFailure(thrown)
    } finally {
      wasi.close()
    }
    output.finish()
    return undefined
  }

  async #wait(
    exchange: Exchange,
    instance: WebAssembly.Instance,
    wasi: Wasi,
    output: CommandOutput,
  ): Promise<void> {
    const stop = (): void => wasi.stop(goneError())
    exchange.gone.addEventListener('abort', stop)
    try {
      await findWaiting(instance, ENTRY)?.()
    } catch (thrown) {
      rethrowFailure(thrown)
    } finally {
      exchange.gone.removeEventListener('abort', stop)
      wasi.close()
    }
    output.finish()
  }

  #options(exchange: Exchange, output: CommandOutput): WasiOptions {
    const { plan, log } = this.#guest
    return {
      args: this.#args,
      env: buildCgiEnv(exchange.head, plan.env),
      stdin: exchange.body,
      stdout: output,
      stderr: { write: (bytes) => log('stderr', bytes) },
      fdsMax: plan.limits.files,
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
