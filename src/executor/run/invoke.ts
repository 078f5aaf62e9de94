/**
 * Calls of exports by name, for tasks that link to this one, and for `quiver invoke` (call.ts). Each call has a fresh instance,
 * as a request has, and its own buffers: copies of what the caller gave it. Here are those of core modules; components and
 * scripts have their own files.
 */

import {
  assertPrintable,
  CALL_PATH,
  exportNotFound,
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

/** Whether a request is a call. Anybody may ask for the path; only the proxy says who asks. */
export function isCall({ head }: Exchange): boolean {
  return (
    head.path.startsWith(CALL_PATH) &&
    head.method === 'POST' &&
    head.header(FROM_HEADER) !== undefined
  )
}

/** What is called, however it is called. */
interface Callable {
  /** @throws QuiverError `not_found/EXPORT_NOT_FOUND`, `invalid_argument/CALL_ARGUMENTS`, and whatever the guest fails with */
  call(exchange: Exchange, name: string, body: CallBody): Promise<CallAnswer>
}

export class Invoker implements Runner {
  readonly #guest: Guest
  #callable: Promise<Callable> | undefined

  constructor(guest: Guest) {
    this.#guest = guest
  }

  async answer(exchange: Exchange): Promise<void> {
    this.#callable ??= openCallable(this.#guest)
    const callable = await this.#callable
    const body = parseCallBody(await this.#readBody(exchange))
    const answer = JSON.stringify(await callable.call(exchange, nameOf(exchange.head.path), body))
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
}

/** The code for components and scripts is loaded for their sake alone. */
async function openCallable(guest: Guest): Promise<Callable> {
  const { kind } = guest.kind
  if (kind === 'component') {
    const { CallableComponent } = await import('./invoke-component.ts')
    return new CallableComponent(guest)
  }
  if (kind !== 'engine') return new CallableModule(guest)
  const { CallableScript } = await import('./invoke-script.ts')
  return new CallableScript(guest)
}

class CallableModule implements Callable {
  readonly #guest: Guest
  readonly #binding: ModuleBinding

  constructor(guest: Guest) {
    this.#guest = guest
    this.#binding = new ModuleBinding(guest.module, guest.memory, guest.links, guest.budget)
  }

  async call(exchange: Exchange, name: string, body: CallBody): Promise<CallAnswer> {
    const found = this.#find(name)
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
    throw exportNotFound(
      plan.task,
      name,
      exports.map((one) => one.name),
    )
  }
}

function nameOf(path: string): string {
  const encoded = path.slice(CALL_PATH.length)
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
