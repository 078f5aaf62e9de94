/** What an implementation of a host function looks like to those that bind it. */

import type { HostSession } from './session.ts'

export type HostResult = number | bigint | void

/**
 * Gets the state of its request and the numbers that the guest passed, i32 as signed ones. Throws `GuestError` for a result that
 * is an error; anything else that it throws ends the guest. It is called after the call was counted.
 */
export type HostFunction = (
  session: HostSession,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g: number,
) => HostResult | Promise<HostResult>

export type HostFunctions = Readonly<Record<string, HostFunction>>
