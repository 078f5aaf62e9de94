/** What the host functions are given for a run: there is no request, and what is logged goes to stderr. */

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
import type { ModulePlan } from '../protocol.ts'

import { Reach } from './reach.ts'
import { hostLimits } from './request-host.ts'

const NO_REQUEST: RequestFacts = {
  method: '',
  path: '',
  query: '',
  params: new Map(),
  rawHeaders: [],
}

export class RunHost implements GuestHost {
  readonly request = NO_REQUEST
  readonly inputs: readonly Uint8Array[] = []
  readonly limits: HostLimits
  readonly #write: (text: string) => void
  readonly #reach: Reach

  /** @param write  to stderr */
  constructor(plan: ModulePlan, write: (text: string) => void) {
    this.limits = hostLimits(plan)
    this.#write = write
    this.#reach = new Reach({
      plan,
      chain: [],
      requestId: undefined,
      // Whoever waits for the run ends its process.
      gone: new AbortController().signal,
      log: (text) => write(`quiver: ${text}\n`),
    })
  }

  log(level: LogLevel, text: string): void {
    this.#write(`${level}: ${text}\n`)
  }

  async fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse> {
    return await this.#reach.fetch(url, request)
  }

  async requestTask(
    task: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    return await this.#reach.requestTask(task, path, request)
  }

  async callTask(call: TaskCall): Promise<TaskResult> {
    return await this.#reach.callTask(call)
  }
}
