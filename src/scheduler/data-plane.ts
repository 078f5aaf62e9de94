/**
 * What the scheduler needs of the data plane. Implemented over the link (`daemon/`); see docs/internals/link.md.
 *
 * Messages may be lost while the proxy is away: every call states a fact or asks a question whose absence of an
 * answer is an answer. Nothing here throws.
 */

import type { ErrorBody, Grant, TaskRoute } from '../core/link.ts'

export interface DataPlane {
  /** A proxy is connected. Without one, nothing is idle. */
  readonly isConnected: boolean
  publish(route: TaskRoute): void
  withdraw(task: string): void
  /**
   * Asks the proxy to route nothing more to the instance. `idle` answers at once, `retire` when the last request has
   * ended. A proxy that is away, or goes away meanwhile, holds no request: `drained` for `retire`, `busy` for `idle`.
   */
  drain(instance: string, mode: 'idle' | 'retire'): Promise<'drained' | 'busy'>
  failWake(task: string, revision: number, error: ErrorBody, retryAfterS: number): void
  /** Why an instance ended by itself, for the clients whose requests it broke. */
  tellExit(instance: string, error: ErrorBody): void
  /** Why requests of an instance were lost that goes on with the next ones. */
  tellBreak(instance: string, error: ErrorBody): void
  grant(grant: Grant): void
  revoke(instance: string): void
}
