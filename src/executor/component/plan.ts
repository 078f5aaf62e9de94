/**
 * A component taken apart, once: what is to be instantiated for each request, in order, and how its functions convert
 * values. Plain data, without bytes: a plan is made in one thread and used in others.
 */

import type { CoreItem, FunctionType, ResourceType } from './types.ts'

export interface ComponentPlan {
  /** Core modules: where they are in the component's bytes. */
  readonly modules: readonly ModuleRange[]
  readonly steps: readonly InstantiateStep[]
  /** What `CoreItem.index` counts. */
  readonly canons: readonly CanonPlan[]
  /** Functions that the host has to offer. */
  readonly imports: readonly HostFunctionPlan[]
  /** By interface with version, `#`, and function: `wasi:cli/run@0.2.3#run`; a function of the world by its name alone. */
  readonly exports: Readonly<Record<string, LiftPlan>>
  /** How many memories all core instances make. */
  readonly memories: number
}

export interface ModuleRange {
  readonly start: number
  readonly end: number
}

/** Makes the next core instance. */
export interface InstantiateStep {
  readonly module: number
  readonly imports: readonly {
    readonly module: string
    readonly name: string
    readonly item: CoreItem
  }[]
}

export interface CanonOptionsPlan {
  readonly encoding: 'utf8' | 'utf16' | 'latin1+utf16'
  readonly memory: CoreItem | null
  readonly realloc: CoreItem | null
  readonly postReturn: CoreItem | null
}

/** A function that core modules of component instance `owner` import. */
export type CanonPlan =
  | {
      readonly op: 'lower'
      readonly func: FunctionPlan
      readonly options: CanonOptionsPlan
      readonly owner: number
    }
  | {
      readonly op: 'resource.new' | 'resource.drop' | 'resource.rep'
      readonly resource: ResourceType
      readonly owner: number
    }

export type FunctionPlan =
  | { readonly from: 'host'; readonly host: HostFunctionPlan }
  | { readonly from: 'guest'; readonly lift: LiftPlan }

export interface HostFunctionPlan {
  /** Without version. */
  readonly interface: string
  /** As WIT mangles it: `[method]input-stream.read`. */
  readonly name: string
  readonly type: FunctionType
}

/** A core function of component instance `owner` as a function of the component model. */
export interface LiftPlan {
  readonly core: CoreItem
  readonly type: FunctionType
  readonly options: CanonOptionsPlan
  readonly owner: number
}
