/**
 * Calls of exports by name, for tasks that link to this one, and for `quiver invoke` (call.ts). Each call has a fresh instance,
 * as a request has, and its own buffers: copies of what the caller gave it.
 */

import { QuiverError } from '../../core/error.ts'
import { nearestName } from '../../core/name.ts'
import {
  assertPrintable,
  CALL_PATH,
  FROM_HEADER,
  formatResult,
  parseArguments,
  parseCallBody,
  type CallAnswer,
  type CallBody,
} from '../call.ts'
import type { ExportFact } from '../facts.ts'
import { HostSession } from '../host/session.ts'
import { openSpecial } from '../host/special-files.ts'
import type { Exchange } from '../http/exchange.ts'
import { Wasi, WasiExit } from '../wasi/wasi.ts'

import { ModuleBinding, type Numbers } from './binding.ts'
import { goneError } from './command.ts'
import { exited, inputTooLarge } from './failure.ts'
import { RequestHost } from './request-host.ts'
import type { Guest, Runner } from './runner.ts'

const INITIALIZE = '_initialize'
const OK = 200
/** Longer ones are compared with nothing. */
const SUGGESTED_LENGTH_MAX = 64
const SUGGESTED_MAX = 1000

/** Whether a request is a call. Anybody may ask for the path; only the proxy says who asks. */
export function isCall({ head }: Exchange): boolean {
  return (
    head.path.startsWith(CALL_PATH) &&
    head.method === 'POST' &&
    head.header(FROM_HEADER) !== undefined
  )
}

export class Invoker implements Runner {
  readonly #guest: Guest
  readonly #binding: ModuleBinding

  constructor(guest: Guest) {
    this.#guest = guest
    this.#binding = new ModuleBinding(guest.module, guest.memory, guest.links, guest.budget)
  }

  async answer(exchange: Exchange): Promise<void> {
    const found = this.#find(nameOf(exchange.head.path))
    const body = parseCallBody(await this.#readBody(exchange))
    const answer = JSON.stringify(await this.#call(exchange, found, body))
    exchange.respond(OK, ['Content-Type', 'application/json'], Buffer.from(`${answer}\n`))
  }

  async #readBody(exchange: Exchange): Promise<Uint8Array> {
    const { inputBytes } = this.#guest.plan.limits
    // Base64, and the quotes around it.
    const bytesMax = Math.ceil(inputBytes * 1.5)
    try {
      return await exchange.body.readAll(bytesMax)
    } catch (thrown) {
      throw thrown instanceof RangeError ? inputTooLarge(inputBytes) : thrown
    }
  }

  async #call(exchange: Exchange, found: ExportFact, body: CallBody): Promise<CallAnswer> {
    const signature = found.signature ?? { params: [], results: [] }
    assertPrintable(found.name, signature)
    const args = parseArguments(found.name, signature, body.args)
    const host = new RequestHost(this.#guest, exchange, {
      input: Buffer.from(body.input ?? '', 'base64'),
      inputHeaders: body.inputHeaders ?? [],
    })
    const session = new HostSession(host)
    for (const [id, bytes] of Object.entries(body.buffers ?? {})) {
      session.place(Number(id), Uint8Array.from(Buffer.from(bytes, 'base64')))
    }
    const value = formatResult(await this.#run(exchange, session, found.name, args))
    const { answer } = session
    if (answer === null) return { value }
    const output = {
      status: answer.status ?? OK,
      headers: answer.rawHeaders,
      body: Buffer.from(answer.body).toString('base64'),
    }
    return { value, output }
  }

  async #run(
    exchange: Exchange,
    session: HostSession,
    name: string,
    args: Numbers,
  ): Promise<unknown> {
    const wasi = this.#binding.hasWasi ? this.#buildWasi(session) : null
    const instance = this.#binding.instantiate(wasi, session)
    const stop = (): void => {
      session.end(goneError())
      wasi?.stop(goneError())
    }
    exchange.gone.addEventListener('abort', stop)
    try {
      if (!this.#binding.mayWait) {
        instance.call(INITIALIZE)
        return instance.call(name, ...args)
      }
      await instance.callWaiting(INITIALIZE)
      return await instance.callWaiting(name, ...args)
    } catch (thrown) {
      if (!(thrown instanceof WasiExit)) throw thrown
      if (thrown.status !== 0) throw exited(thrown.status)
      return undefined
    } finally {
      exchange.gone.removeEventListener('abort', stop)
      instance.end()
    }
  }

  #buildWasi(session: HostSession): Wasi {
    const { plan, log } = this.#guest
    return new Wasi({
      args: [plan.argv0, ...plan.args],
      env: plan.env,
      stdout: { write: (bytes) => log('stdout', bytes) },
      stderr: { write: (bytes) => log('stderr', bytes) },
      preopens: this.#guest.folders,
      fdsMax: plan.limits.files,
      callsPerSecondMax: plan.limits.hostCalls,
      openSpecial: (name, access) => openSpecial(session, name, access),
    })
  }

  #find(name: string): ExportFact {
    const { exports, plan } = this.#guest
    const found = exports.find((one) => one.name === name)
    if (found !== undefined) return found
    const names = exports.map((one) => one.name)
    const near = names.slice(0, SUGGESTED_MAX).filter(({ length }) => length < SUGGESTED_LENGTH_MAX)
    const nearest = name.length > SUGGESTED_LENGTH_MAX ? undefined : nearestName(name, near)
    const message = `${plan.task} exports no function "${name.slice(0, SUGGESTED_LENGTH_MAX)}"`
    throw new QuiverError('not_found', 'EXPORT_NOT_FOUND', message, {
      hint: nearest === undefined ? `There are: ${listed(names)}.` : `Did you mean "${nearest}"?`,
    })
  }
}

function listed(names: readonly string[]): string {
  return names.slice(0, 10).join(', ').slice(0, 500)
}

function nameOf(path: string): string {
  const encoded = path.slice(CALL_PATH.length)
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
