/** What the host functions are given for one request: its facts from the head, its body, and the limits of the task. */

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
import type { ModulePlan } from '../protocol.ts'
import type { StreamedRequest, StreamedResponse } from '../streaming.ts'

import { Reach } from './reach.ts'
import type { Guest } from './runner.ts'

const NO_PARAMS: ReadonlyMap<string, string> = new Map()

export function hostLimits({ limits }: ModulePlan): HostLimits {
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
  #reach: Reach | undefined

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
    return await this.#reachOut().fetch(url, request)
  }

  /** For components, whose bodies go through as they come. */
  async open(url: string, request: StreamedRequest): Promise<StreamedResponse> {
    return await this.#reachOut().open(url, request)
  }

  async requestTask(
    task: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    return await this.#reachOut().requestTask(task, path, request)
  }

  async callTask(call: TaskCall): Promise<TaskResult> {
    return await this.#reachOut().callTask(call)
  }

  /** Most guests need none. */
  #reachOut(): Reach {
    const { head, gone } = this.#exchange
    const { plan, log } = this.#guest
    const requestId = this.#requestId
    const who = requestId === undefined ? '' : `${requestId}: `
    this.#reach ??= new Reach({
      plan,
      chain: readChain(head),
      requestId,
      gone,
      log: (text) => log('quiver', Buffer.from(`${who}${text}\n`)),
    })
    return this.#reach
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
