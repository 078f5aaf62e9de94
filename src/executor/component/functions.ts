/** Functions of a component that are called by name: those of its world, and those of interfaces that are its own. */

import { exportNotFound } from '../call.ts'

import { planComponent } from './link.ts'
import { isWritable } from './parse-values.ts'
import type { ComponentPlan, LiftPlan } from './plan.ts'
import { withoutVersion } from './resolve-types.ts'
import { describeFunction } from './types.ts'

export interface NamedFunction {
  /** As people call it: `add`, or `local:numbers/math#add`. */
  readonly name: string
  readonly lift: LiftPlan
}

/** @throws QuiverError as `planComponent` */
export function listFunctions(
  bytes: Uint8Array,
): readonly { readonly name: string; readonly signature: string }[] {
  return callableFunctions(planComponent(bytes)).map(({ name, lift }) => ({
    name,
    signature: describeFunction(lift.type),
  }))
}

/** What WASI calls is not called by name; nor is what nobody could write the arguments of. */
export function callableFunctions(plan: ComponentPlan): readonly NamedFunction[] {
  return Object.entries(plan.exports).flatMap(([key, lift]) => {
    const [from = '', name] = key.split('#')
    if (from.startsWith('wasi:') || !isWritable(lift.type)) return []
    return { name: name === undefined ? from : `${withoutVersion(from)}#${name}`, lift }
  })
}

/**
 * @param name  whole, or of one function of an interface alone when no other has that name
 * @throws QuiverError `not_found/EXPORT_NOT_FOUND`
 */
export function findFunction(plan: ComponentPlan, name: string, task: string): NamedFunction {
  const functions = callableFunctions(plan)
  const whole = functions.find((one) => one.name === name)
  const inner = functions.filter((one) => one.name.split('#')[1] === name)
  const [only] = inner
  const found = whole ?? (inner.length === 1 ? only : undefined)
  if (found !== undefined) return found
  const meant = inner.length > 1 ? inner : functions
  throw exportNotFound(
    task,
    name,
    meant.map((one) => one.name),
  )
}
