/**
 * Traps that a host function gives to its guest.
 *
 * What JavaScript throws into a guest, a guest compiled with exceptions can catch (`catch_all`), a `WebAssembly.RuntimeError`
 * of our own too. Only the object of a real trap goes through everything, so one is made here, and carries the reason as its `cause`.
 */

import { QuiverError } from '../core/error.ts'

/** `(module (func (export "trap") unreachable))` */
const UNREACHABLE = '0061736d0100000001040160000003020100070801047472617000000a05010300000b'

let trapFunction: (() => unknown) | undefined

/**
 * Ends the guest that called, whatever it does to catch exceptions. Also works as the rejection of a suspending import.
 *
 * @throws WebAssembly.RuntimeError whose `cause` is `reason`
 */
export function trap(reason: Error): never {
  trapFunction ??= makeTrap()
  try {
    trapFunction()
  } catch (thrown) {
    if (thrown instanceof WebAssembly.RuntimeError) {
      thrown.message = reason.message
      thrown.cause = reason
    }
    throw thrown
  }
  throw reason
}

/** The reason that `trap` was called with; undefined for whatever else a guest's call threw. */
export function trapReason(thrown: unknown): QuiverError | undefined {
  if (!(thrown instanceof WebAssembly.RuntimeError)) return undefined
  return thrown.cause instanceof QuiverError ? thrown.cause : undefined
}

function makeTrap(): () => unknown {
  const module = new WebAssembly.Module(Buffer.from(UNREACHABLE, 'hex'))
  const exported = new WebAssembly.Instance(module).exports['trap']
  return () => (typeof exported === 'function' ? exported() : undefined)
}
