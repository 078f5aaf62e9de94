/** A component that is ready to be instantiated again and again: its plan with compiled modules, codecs and host functions. */

import { QuiverError } from '../../core/error.ts'

import { Codecs, FunctionCodec } from './function-codec.ts'
import type { FindHostFunction, HostFunction } from './host.ts'
import { ComponentInstance, type Watch } from './instance.ts'
import type { ComponentPlan } from './plan.ts'
import type { FunctionType } from './types.ts'

export class ComponentProgram<W> {
  readonly plan: ComponentPlan
  readonly modules: readonly WebAssembly.Module[]
  readonly #codecs = new Codecs()
  readonly #functions = new Map<FunctionType, FunctionCodec>()
  readonly #find: FindHostFunction<W>

  /** @param modules  of `plan.modules`, in that order */
  constructor(
    plan: ComponentPlan,
    modules: readonly WebAssembly.Module[],
    find: FindHostFunction<W>,
  ) {
    this.plan = plan
    this.modules = modules
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
  host(interfaceName: string, name: string): HostFunction<W> {
    const found = this.#find(interfaceName, name)
    if (found !== undefined) return found
    const message = `nobody offers ${name} of ${interfaceName}`
    throw new QuiverError('invalid_argument', 'MODULE_IMPORTS_UNKNOWN', message)
  }
}
