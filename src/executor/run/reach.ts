/** The way out of one guest, with a word in its log when something is refused or fails: the guest itself gets a number. */

import { QuiverError } from '../../core/error.ts'
import type { IncomingResponse, OutgoingRequest, TaskCall, TaskResult } from '../guest-host.ts'
import type { Outside } from '../outgoing/outside.ts'
import type { ModulePlan } from '../protocol.ts'
import type { StreamedRequest, StreamedResponse } from '../streaming.ts'

export interface ReachContext {
  readonly plan: ModulePlan
  /** Tasks that wait for this guest, without its own. */
  readonly chain: readonly string[]
  readonly requestId: string | undefined
  /** Nobody waits for it any more. */
  readonly gone: AbortSignal
  /** Without a line end. */
  readonly log: (text: string) => void
}

export class Reach {
  readonly #context: ReachContext
  #outside: Promise<Outside> | undefined

  constructor(context: ReachContext) {
    this.#context = context
  }

  async fetch(url: string, request: OutgoingRequest): Promise<IncomingResponse> {
    return await this.#ask((outside) => outside.fetch(url, request))
  }

  async open(url: string, request: StreamedRequest): Promise<StreamedResponse> {
    return await this.#ask((outside) => outside.open(url, request))
  }

  async requestTask(
    task: string,
    path: string,
    request: OutgoingRequest,
  ): Promise<IncomingResponse> {
    return await this.#ask((outside) => outside.requestTask(task, path, request))
  }

  async callTask(call: TaskCall): Promise<TaskResult> {
    return await this.#ask((outside) => outside.callTask(call))
  }

  async #ask<T>(ask: (outside: Outside) => Promise<T>): Promise<T> {
    this.#outside ??= this.#load()
    try {
      return await ask(await this.#outside)
    } catch (thrown) {
      // What the number means, and what to do, people read in the log.
      const { message, reason, hint } = QuiverError.from(thrown)
      this.#context.log(`${message} (${reason})${hint === undefined ? '' : ` ${hint}`}`)
      throw thrown
    }
  }

  /** Loaded by the first guest of a thread that needs it: an HTTP client takes longer to load than all else here. */
  async #load(): Promise<Outside> {
    const { Outside } = await import('../outgoing/outside.ts')
    const { plan, chain, requestId, gone } = this.#context
    const { requestTimeoutMs, inputBytes } = plan.limits
    return new Outside({
      task: plan.task,
      plan: plan.outside,
      chain,
      requestId,
      gone,
      timeoutMs: requestTimeoutMs,
      inputBytesMax: inputBytes,
    })
  }
}
