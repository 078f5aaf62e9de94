/** Where the requests and calls of one script run: its image, which is loaded once for each thread, and what is around a script at work. */

import { assert } from '../../core/assert.ts'
import { QuiverError } from '../../core/error.ts'
import type { LogLevel } from '../guest-host.ts'
import type { Exchange } from '../http/exchange.ts'
import { EngineException } from '../script/engine.ts'
import { ScriptImage, type LoadedScript } from '../script/image.ts'
import type { ScriptLimits, ScriptWorld } from '../script/script-world.ts'

import { goneError } from './command.ts'
import { breach } from './failure.ts'
import { RequestHost } from './request-host.ts'
import type { Guest } from './runner.ts'

const NOTHING = new Uint8Array(0)
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
// oxlint-disable-next-line eslint/no-control-regex
const FORBIDDEN = /[\0-\u0008\u000a-\u001f\u007f]|[^\0-\u00ff]/
/** What says where the answer ends is for the server to say. */
const FRAMING = /^(?:connection|content-length|keep-alive|trailer|transfer-encoding|upgrade)$/i

export interface OpenScript extends LoadedScript {
  /** Nothing of it may run any more. */
  close(): void
}

const places = new WeakMap<Guest, ScriptPlace>()

/** Loads the script with the first call. @throws QuiverError that says what is wrong with it, and where */
export function scriptPlaceOf(guest: Guest): ScriptPlace {
  const known = places.get(guest)
  if (known !== undefined) return known
  const place = new ScriptPlace(guest)
  places.set(guest, place)
  return place
}

export class ScriptPlace {
  readonly #guest: Guest
  readonly #limits: ScriptLimits
  readonly #image: ScriptImage

  constructor(guest: Guest) {
    const { module, memory, plan, log } = guest
    const { script } = plan
    assert(script !== null && memory !== null, 'a module was judged to be an engine with a script')
    this.#guest = guest
    this.#limits = scriptLimits(guest)
    const world = new LoadingWorld((level, text) => log('stderr', logLine(undefined, level, text)))
    this.#image = new ScriptImage(module, memory, script, plan.env, world, this.#limits)
  }

  /** @throws LimitBreach `OUT_OF_MEMORY` when the requests in flight leave no room for another */
  open(world: RequestWorld): OpenScript {
    const share = this.#guest.budget?.open(this.#image.memoryBytes)
    try {
      const script = this.#image.open(world, this.#limits)
      const stop = (reason: QuiverError): void => script.session.stop(reason)
      share?.hold({ memories: [script.engine.memory], stop })
      const close = (): void => {
        share?.close()
        this.#image.close(script)
      }
      return { ...script, close }
    } catch (thrown) {
      share?.close()
      throw thrown
    }
  }

  /** Until the script has ended, or waits for nothing more. */
  async wait(
    exchange: Exchange,
    script: OpenScript,
    world: RequestWorld,
    end: Promise<void>,
  ): Promise<void> {
    const stop = (): void => script.session.stop(goneError())
    exchange.gone.addEventListener('abort', stop)
    try {
      await end
    } catch (thrown) {
      throw world.explain(thrown)
    } finally {
      exchange.gone.removeEventListener('abort', stop)
      script.close()
    }
  }
}

/** Nothing of a request is there while a script is loaded. */
class LoadingWorld implements ScriptWorld {
  readonly log: ScriptWorld['log']

  constructor(log: ScriptWorld['log']) {
    this.log = log
  }

  respond(): void {}

  reject(): undefined {
    return undefined
  }

  input(): Uint8Array {
    return NOTHING
  }

  fetch(): Promise<never> {
    return Promise.reject(new TypeError('nothing is fetched while a script is loaded'))
  }
}

export class RequestWorld implements ScriptWorld {
  readonly #guest: Guest
  readonly #exchange: Exchange
  #host: RequestHost | undefined

  constructor(guest: Guest, exchange: Exchange) {
    this.#guest = guest
    this.#exchange = exchange
  }

  log(level: LogLevel, text: string): void {
    const requestId = this.#exchange.head.header('x-request-id')
    this.#guest.log('stderr', logLine(requestId, level, text))
  }

  respond(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    const { outputBytes } = this.#guest.plan.limits
    if (body.length > outputBytes) {
      throw breach('OUTPUT_TOO_LARGE', `the answer is longer than ${outputBytes} bytes`)
    }
    this.#exchange.respond(status, checkHeaders(rawHeaders), body)
  }

  reject(trace: string): undefined {
    this.log('error', `a promise was rejected, and nothing handled it: ${trace}`)
    return undefined
  }

  input(): Uint8Array {
    return NOTHING
  }

  async fetch(url: string, request: Parameters<RequestHost['fetch']>[1]) {
    this.#host ??= new RequestHost(this.#guest, this.#exchange, NOTHING)
    return await this.#host.fetch(url, request)
  }

  /** Writes down where the script failed: whoever asked is told what, and no more. */
  explain(thrown: unknown): unknown {
    if (thrown instanceof EngineException) return scriptBroke()
    const isOfScript = thrown instanceof QuiverError && thrown.reason === 'SCRIPT_ERROR'
    if (isOfScript && typeof thrown.cause === 'string') this.log('error', thrown.cause)
    return thrown
  }
}

function scriptLimits({ plan }: Pick<Guest, 'plan'>): ScriptLimits {
  const { limits } = plan
  return {
    cpuTimeMs: limits.cpuTimeMs,
    waitingMax: limits.files,
    hostCallsPerSecondMax: limits.hostCalls,
    answerBytesMax: limits.memoryBytes,
  }
}

/** @throws QuiverError `unavailable/RESPONSE_INVALID` */
function checkHeaders(rawHeaders: readonly string[]): readonly string[] {
  const checked: string[] = []
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]]
    if (!TOKEN.test(name) || FORBIDDEN.test(value)) throw invalidHeader(name)
    if (!FRAMING.test(name)) checked.push(name, value)
  }
  return checked
}

function logLine(requestId: string | undefined, level: string, text: string): Uint8Array {
  const prefix = requestId === undefined ? level : `${requestId} ${level}`
  return Buffer.from(`${prefix}: ${text}\n`)
}

function invalidHeader(name: string): QuiverError {
  const message = `"${name.slice(0, 60)}" is not a header that can be sent`
  return new QuiverError('unavailable', 'RESPONSE_INVALID', message)
}

export function stalled(): QuiverError {
  const message = 'the script waits for something that will never come, and has not answered'
  return new QuiverError('unavailable', 'SCRIPT_STALLED', message, {
    hint: 'Make sure that every promise it awaits is resolved by something.',
  })
}

function scriptBroke(): QuiverError {
  return new QuiverError('unavailable', 'SCRIPT_ERROR', 'the script failed')
}
