/** What the host functions are given for one request: its facts from the head, its body, and the limits of the task. */

import { QuiverError } from '../../core/error.ts'
import type {
  GuestHost,
  HostLimits,
  IncomingResponse,
  LogLevel,
  RequestFacts,
  TaskResult,
} from '../guest-host.ts'
import type { Exchange } from '../http/exchange.ts'
import type { RequestHead } from '../http/request-head.ts'
import type { ModulePlan } from '../protocol.ts'

import type { Log } from './runner.ts'

const NO_PARAMS: ReadonlyMap<string, string> = new Map()

export function hostLimits({ limits }: ModulePlan): HostLimits {
  return {
    buffersMax: limits.files,
    bufferBytesMax: limits.memoryBytes,
    outputBytesMax: limits.outputBytes,
    callsPerSecondMax: limits.hostCalls,
  }
}

export class RequestHost implements GuestHost {
  readonly request: RequestFacts
  readonly inputs: readonly Uint8Array[]
  readonly limits: HostLimits
  readonly #requestId: string | undefined
  readonly #log: Log

  constructor(exchange: Exchange, input: Uint8Array, limits: HostLimits, log: Log) {
    this.request = new HeadFacts(exchange.head)
    this.inputs = [input]
    this.limits = limits
    this.#requestId = exchange.head.header('x-request-id')
    this.#log = log
  }

  log(level: LogLevel, text: string): void {
    const prefix = this.#requestId === undefined ? level : `${this.#requestId} ${level}`
    this.#log('stderr', Buffer.from(`${prefix}: ${text}\n`))
  }

  fetch(url: string): Promise<IncomingResponse> {
    const message = `${url} may not be reached`
    return Promise.reject(new QuiverError('permission_denied', 'HOST_NOT_ALLOWED', message))
  }

  requestTask(task: string): Promise<IncomingResponse> {
    return Promise.reject(notConnected(task))
  }

  callTask({ task }: { readonly task: string }): Promise<TaskResult> {
    return Promise.reject(notConnected(task))
  }
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

function notConnected(task: string): QuiverError {
  return new QuiverError('permission_denied', 'TASK_NOT_CONNECTED', `${task} is not connected`, {
    hint: `Add [[connect]] task = "${task}" to quiver.toml.`,
  })
}
