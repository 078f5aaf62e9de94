/**
 * From what a module imports to what an instance of it gets.
 *
 * `prepareHost` looks everything up, once for a module. `bind` makes closures over the state of one request, and only for what is
 * imported: requests overlap on a thread while guests wait, so no state of theirs may be shared.
 */

import { QuiverError } from '../../core/error.ts'
import { GUEST_FUNCTIONS } from '../../guest/functions.ts'
import type { Link } from '../facts.ts'
import type { Turns } from '../turns.ts'

import type { HostFunction, HostResult } from './host-function.ts'
import { buildLink } from './links.ts'
import { MY_OWN_CLUSTER_FUNCTIONS } from './my-own-cluster.ts'
import { OUTGOING_FUNCTIONS } from './outgoing.ts'
import { QUIVER_FUNCTIONS } from './quiver.ts'
import { GuestError, type HostSession } from './session.ts'

export interface HostBinding {
  /** Some import may wait: the exports have to be called through `WebAssembly.promising`. */
  readonly mayWait: boolean
  /** The import modules of one instance. The caller adds those that are not of this folder. */
  bind(session: HostSession, turns?: Turns | null): WebAssembly.Imports
}

interface Bound {
  readonly name: string
  bind(session: HostSession, turns: Turns | null): WebAssembly.ImportValue
}

/** Names of the function, and how it is called by arguments of any number. */
interface Import {
  readonly module: string
  readonly name: string
}

const IMPLEMENTATIONS = new Map<string, HostFunction>(
  Object.entries({
    quiver: { ...QUIVER_FUNCTIONS, ...OUTGOING_FUNCTIONS },
    'my-own-cluster': MY_OWN_CLUSTER_FUNCTIONS,
  }).flatMap(([module, functions]) =>
    Object.entries(functions).map(([name, run]) => [`${module} ${name}`, run] as const),
  ),
)

/**
 * @param imports  of the module; those of other import modules are passed over
 * @param links    what `checkImports` found
 */
export function prepareHost(imports: readonly Import[], links: readonly Link[]): HostBinding {
  const modules = new Map<string, Bound[]>()
  const add = (module: string, bound: Bound): void => {
    const known = modules.get(module)
    if (known === undefined) modules.set(module, [bound])
    else known.push(bound)
  }
  let mayWait = links.length > 0
  for (const { module, name } of imports) {
    const run = IMPLEMENTATIONS.get(`${module} ${name}`)
    if (run === undefined) continue
    const waits = GUEST_FUNCTIONS.some(
      (one) => one.mayWait && one.module === module && one.name === name,
    )
    mayWait ||= waits
    add(module, { name, bind: waits ? bindWaiting(run) : bindDirect(run) })
  }
  for (const link of links) add(link.task, { name: link.function, bind: bindLink(link) })
  const groups = [...modules]
  return {
    mayWait,
    bind(session, turns = null) {
      const bound: WebAssembly.Imports = {}
      for (const [module, functions] of groups) {
        const target: WebAssembly.ModuleImports = {}
        for (const one of functions) target[one.name] = one.bind(session, turns)
        bound[module] = target
      }
      return bound
    },
  }
}

function bindDirect(run: HostFunction): Bound['bind'] {
  // One shape for all numbers of arguments: what a guest does not pass is undefined and not looked at.
  return (session) =>
    (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => {
      try {
        session.enter()
        return run(session, a, b, c, d, e, f, g)
      } catch (thrown) {
        return resultOf(session, thrown)
      }
    }
}

function bindWaiting(run: HostFunction): Bound['bind'] {
  return (session, turns) =>
    new WebAssembly.Suspending(
      async (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => {
        try {
          turns?.leave()
          session.enter()
          const result = await run(session, a, b, c, d, e, f, g)
          if (session.failure !== null) session.fail(session.failure)
          return result
        } catch (thrown) {
          return resultOf(session, thrown)
        } finally {
          turns?.enter()
        }
      },
    )
}

function bindLink(link: Link): Bound['bind'] {
  const run = buildLink(link)
  return (session, turns) =>
    new WebAssembly.Suspending(async (...args: readonly (number | bigint)[]) => {
      try {
        turns?.leave()
        session.enter()
        const result = await run(session, args)
        if (session.failure !== null) session.fail(session.failure)
        return result
      } catch (thrown) {
        return resultOf(session, thrown)
      } finally {
        turns?.enter()
      }
    })
}

/** A result for the guest, or its end: nothing that is thrown here goes through it as an exception that it could catch. */
function resultOf(session: HostSession, thrown: unknown): HostResult {
  if (thrown instanceof GuestError && session.failure === null) return thrown.result
  return session.fail(session.failure ?? QuiverError.from(thrown))
}
