/** A component that is ready to be instantiated again and again: its plan with compiled modules, codecs and host functions. */

import { QuiverError } from '../../core/error.ts'

import { Codecs, FunctionCodec } from './function-codec.ts'
import type { FindHostFunction, HostFunction } from './host.ts'
import { ComponentInstance, type Watch } from './instance.ts'
import type { ComponentPlan, HostFunctionPlan } from './plan.ts'
import type { PreparedComponent } from './prepare.ts'
import type { FunctionType } from './types.ts'

/** Memories for the instances of one module: all zero when they are taken. */
export interface MemorySource {
  take(): WebAssembly.Memory
  /** Of an instance that has ended. */
  give(memory: WebAssembly.Memory): void
}

export class ComponentProgram<W> {
  readonly plan: ComponentPlan
  readonly modules: readonly WebAssembly.Module[]
  readonly #codecs = new Codecs()
  readonly #functions = new Map<FunctionType, FunctionCodec>()
  readonly #hosts = new Map<HostFunctionPlan, HostFunction<W>>()
  readonly #find: FindHostFunction<W>

  readonly memories: readonly (MemorySource | null)[]

  /** @param memories  of the modules that import theirs */
  constructor(
    { plan, modules }: Pick<PreparedComponent, 'plan' | 'modules'>,
    memories: readonly (MemorySource | null)[],
    find: FindHostFunction<W>,
  ) {
    this.plan = plan
    this.modules = modules
    this.memories = memories
    this.#find = find
  }

  /** A fresh instance, of all its core modules. @throws whatever their start functions end with */
  instantiate(world: W, watch: Watch): ComponentInstance<W> {
    return new ComponentInstance(this, world, watch)
  }

  codecOf(type: FunctionType): FunctionCodec {
    const known = this.#functions.get(type)
    if (known !== undefined) return known
    const codec = new FunctionCodec(type, this.#codecs.of)
    this.#functions.set(type, codec)
    return codec
  }

  /** @throws QuiverError `invalid_argument/MODULE_IMPORTS_UNKNOWN`: it was checked before, so never here */
  host(plan: HostFunctionPlan): HostFunction<W> {
    const known = this.#hosts.get(plan)
    if (known !== undefined) return known
    const found = this.#find(plan.interface, plan.name)
    if (found === undefined) {
      const message = `nobody offers ${plan.name} of ${plan.interface}`
      throw new QuiverError('invalid_argument', 'MODULE_IMPORTS_UNKNOWN', message)
    }
    this.#hosts.set(plan, found)
    return found
  }
}
