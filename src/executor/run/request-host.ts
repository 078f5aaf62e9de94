/** What the host functions are given for one request: its facts from the head, its body, and the limits of the task. */

import { QuiverError } from '../../core/error.ts'
import { CHAIN_HEADER, CHAIN_MAX, FROM_HEADER } from '../call.ts'
import type {
  GuestHost,
  HostLimits,
  IncomingResponse,
  LogLevel,
  OutgoingRequest,
  RequestFacts,
  TaskCall,
  TaskResult,
} from '../guest-host.ts'
import type { Exchange } from '../http/exchange.ts'
import type { RequestHead } from '../http/request-head.ts'
import type { Outside } from '../outgoing/outside.ts'
import type { ModulePlan } from '../protocol.ts'

import type { Guest } from './runner.ts'

const NO_PARAMS: ReadonlyMap<string, string> = new Map()

function hostLimits({ limits }: ModulePlan): HostLimits {
  return {
    buffersMax: limits.files,
    bufferBytesMax: limits.memoryBytes,
    outputBytesMax: limits.outputBytes,
    callsPerSecondMax: limits.hostCalls,
  }
}

/** What a caller gave, in place of a request. */
export interface CallInput {
  readonly input: Uint8Array
  readonly inputHeaders: readonly string[]
}

export class RequestHost implements GuestHost {
  readonly request: RequestFacts
  readonly inputs: readonly Uint8Array[]
  readonly limits: HostLimits
  readonly #guest: Guest
  readonly #exchange: Exchange
  readonly #requestId: string | undefined
  #outside: Promise<Outside> | undefined

  /** @param input  the body of the request, or what a caller gave */
  constructor(guest: Guest, exchange: Exchange, input: Uint8Array | CallInput) {
    const { head } = exchange
    const isBody = input instanceof Uint8Array
    this.request = isBody ? new HeadFacts(head) : new CallFacts(head, input.inputHeaders)
    this.inputs = [isBody ? input : input.input]
    this.limits = hostLimits(guest.plan)
    this.#guest = guest
    this.#exchange = exchange
    this.#requestId = head.header('x-request-id')
  }

  log(level: LogLevel, text: string): void {
    const prefix = this.#requestId === undefined ? level : `${this.#requestId} ${level}`
    this.#guest.log('stderr', Buffer.from(`${prefix}: ${text}\n`))
  }

  async fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse> {
    return await this.#reach((outside) => outside.fetch(url, request))
  }

  async requestTask(
    task: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    return await this.#reach((outside) => outside.requestTask(task, path, request))
  }

  async callTask(call: TaskCall): Promise<TaskResult> {
    return await this.#reach((outside) => outside.callTask(call))
  }

  /** Loaded by the first guest of a thread that needs it: an HTTP client takes longer to load than all else here. */
  async #reach<T>(ask: (outside: Outside) => Promise<T>): Promise<T> {
    this.#outside ??= this.#openOutside()
    try {
      return await ask(await this.#outside)
    } catch (thrown) {
      // The guest gets a number. What it means, and what to do, people read in its log.
      const { message, reason, hint } = QuiverError.from(thrown)
      const advice = hint === undefined ? '' : ` ${hint}`
      const who = this.#requestId === undefined ? '' : `${this.#requestId}: `
      this.#guest.log('quiver', Buffer.from(`${who}${message} (${reason})${advice}\n`))
      throw thrown
    }
  }

  async #openOutside(): Promise<Outside> {
    const { Outside } = await import('../outgoing/outside.ts')
    const { plan } = this.#guest
    return new Outside({
      task: plan.task,
      plan: plan.outside,
      chain: readChain(this.#exchange.head),
      requestId: this.#requestId,
      gone: this.#exchange.gone,
      timeoutMs: plan.limits.requestTimeoutMs,
      inputBytesMax: plan.limits.inputBytes,
    })
  }
}

/** Only beside the proxy's word that another task asks: anybody can write it. */
function readChain(head: RequestHead): readonly string[] {
  if (head.header(FROM_HEADER) === undefined) return []
  const written = head.header(CHAIN_HEADER) ?? ''
  return written === '' ? [] : written.split(',').slice(0, CHAIN_MAX + 1)
}

/** Most guests look at little of it. */
class HeadFacts implements RequestFacts {
  readonly params = NO_PARAMS
  readonly #head: RequestHead

  constructor(head: RequestHead) {
    this.#head = head
  }

  get method(): string {
    return this.#head.method
  }

  get path(): string {
    return this.#head.path
  }

  get query(): string {
    return this.#head.query
  }

  get rawHeaders(): readonly string[] {
    return this.#head.rawHeaders
  }
}

class CallFacts extends HeadFacts {
  readonly #rawHeaders: readonly string[]

  constructor(head: RequestHead, rawHeaders: readonly string[]) {
    super(head)
    this.#rawHeaders = rawHeaders
  }

  override get rawHeaders(): readonly string[] {
    return this.#rawHeaders
  }
}
