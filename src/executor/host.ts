/** The host functions of core modules: what the other parts of the executor may use of them. */

import { GUEST_FUNCTIONS } from '../guest/functions.ts'

import type { FunctionType } from './facts.ts'

export { type HostBinding, prepareHost } from './host/bind.ts'
export { type Answer, HostSession } from './host/session.ts'
export { isSpecial, openSpecial } from './host/special-files.ts'

/** Import modules and their functions, to be offered to `checkImports`. */
export function hostModules(): ReadonlyMap<string, ReadonlyMap<string, FunctionType>> {
  const modules = new Map<string, Map<string, FunctionType>>()
  for (const { module, name, params, results } of GUEST_FUNCTIONS) {
    const functions = modules.get(module) ?? new Map<string, FunctionType>()
    modules.set(module, functions.set(name, { params, results }))
  }
  return modules
}
