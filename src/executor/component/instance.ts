/**
 * One instance of a component, for one request or run: its core instances, the functions between them and the host, and
 * the handles that it holds. Nothing in it is shared with another instance.
 */

import { MEMORY_IMPORT } from '../module.ts'
import { trap } from '../trap.ts'
import { tellingTurns, type Turns } from '../turns.ts'

import { Conversion, type CoreValue } from './conversion.ts'
import type { FunctionCodec } from './function-codec.ts'
import { drop, Handles, refuse } from './handles.ts'
import type { HostFunction } from './host.ts'
import type { CanonOptionsPlan, CanonPlan, LiftPlan } from './plan.ts'
import type { ComponentProgram } from './program.ts'
import type { CoreItem, ResourceType } from './types.ts'

type CoreFunction = (...args: readonly CoreValue[]) => unknown

/** Who keeps watch over an instance. */
export interface Watch {
  readonly turns: Turns | null
  /** The guest calls the host. @returns why it has to end, if it called too often */
  count(): Error | null
}

export class ComponentInstance<W> {
  readonly #program: ComponentProgram<W>
  readonly #world: W
  readonly #watch: Watch
  readonly #instances: WebAssembly.Exports[] = []
  readonly #canons: WebAssembly.ImportValue[] = []
  readonly #handles: Handles[] = []
  #given: { readonly module: number; readonly memory: WebAssembly.Memory }[] = []
  #ending: { readonly thrown: unknown } | undefined
  #stopped: PromiseWithResolvers<never> | undefined

  constructor(program: ComponentProgram<W>, world: W, watch: Watch) {
    this.#program = program
    this.#world = world
    this.#watch = watch
    for (const { module, imports } of program.plan.steps) {
      // Without prototype: names are whatever the component says, `__proto__` too.
      const values: WebAssembly.Imports = Object.create(null)
      for (const { module: from, name, item } of imports) {
        const given = (values[from] ??= Object.create(null))
        given[name] = this.#resolve(item)
      }
      const memory = this.#takeMemory(module)
      if (memory !== undefined) values[MEMORY_IMPORT.module] = { [MEMORY_IMPORT.name]: memory }
      const compiled = program.modules[module]
      if (compiled === undefined) throw new Error(`module ${module} was not compiled`)
      this.#instances.push(new WebAssembly.Instance(compiled, values).exports)
    }
  }

  /**
   * Calls an export. One call at a time.
   *
   * @throws what a host function or `stop` ended the guest with, or the guest's own trap
   */
  async call(lift: LiftPlan, args: readonly unknown[]): Promise<unknown> {
    try {
      return await this.#callLifted(lift, args)
    } catch (thrown) {
      throw this.#ending === undefined ? thrown : this.#ending.thrown
    }
  }

  /** Ends the guest at the host function that it waits in, or calls next. */
  stop(error: Error): void {
    this.#ending ??= { thrown: error }
    this.#stopped?.reject(error)
  }

  /** Those that can be seen: given, or exported by its core modules. */
  get memories(): readonly WebAssembly.Memory[] {
    const memories = new Set(this.#given.map(({ memory }) => memory))
    for (const exports of this.#instances) {
      for (const value of Object.values(exports)) {
        if (value instanceof WebAssembly.Memory) memories.add(value)
      }
    }
    return [...memories]
  }

  /** Gives back what it still holds of the host, and its memories: none of its code may run any more. */
  close(): void {
    for (const handles of this.#handles) handles?.close()
    for (const { module, memory } of this.#given) this.#program.memories[module]?.give(memory)
    this.#given = []
  }

  #takeMemory(module: number): WebAssembly.Memory | undefined {
    const memory = this.#program.memories[module]?.take()
    if (memory !== undefined) this.#given.push({ module, memory })
    return memory
  }

  async #callLifted(lift: LiftPlan, args: readonly unknown[]): Promise<unknown> {
    const { core, type, options, owner } = lift
    const cx = this.#conversion(options, owner)
    const codec = this.#program.codecOf(type)
    const returned = await WebAssembly.promising(this.#function(core))(
      ...codec.lowerParams(cx, args),
    )
    const value = codec.liftResult(cx, returned)
    cx.endLoans()
    if (options.postReturn !== null) {
      const flat = typeof returned === 'number' || typeof returned === 'bigint' ? [returned] : []
      this.#coreFunction(options.postReturn)(...flat)
    }
    return value
  }

  #resolve(item: CoreItem): WebAssembly.ImportValue {
    if (item.from === 'canon') return (this.#canons[item.index] ??= this.#makeCanon(item.index))
    const found = this.#instances[item.instance]?.[item.name]
    return found ?? refuse(`"${item.name.slice(0, 64)}" is used before it is made`)
  }

  #function(item: CoreItem): Function {
    const value = this.#resolve(item)
    return typeof value === 'function' ? value : refuse('something is called that is no function')
  }

  #coreFunction(item: CoreItem): CoreFunction {
    const value = this.#function(item)
    return (...args) => value(...args)
  }

  #memory(item: CoreItem): WebAssembly.Memory {
    const value = this.#resolve(item)
    return value instanceof WebAssembly.Memory ? value : refuse('what is no memory is used as one')
  }

  #handlesOf(owner: number): Handles {
    return (this.#handles[owner] ??= new Handles())
  }

  #conversion({ encoding, memory, realloc }: CanonOptionsPlan, owner: number): Conversion {
    return new Conversion({
      encoding,
      owner,
      handles: this.#handlesOf(owner),
      memory: memory === null ? null : this.#memory(memory),
      realloc: realloc === null ? null : this.#coreFunction(realloc),
    })
  }

  #makeCanon(index: number): WebAssembly.ImportValue {
    const canon = this.#program.plan.canons[index]
    if (canon === undefined) return refuse('it imports a function that is not defined')
    if (canon.op !== 'lower') return this.#guarded(this.#resourceFunction(canon))
    const cx = this.#conversion(canon.options, canon.owner)
    if (canon.func.from === 'guest') return this.#lowerGuest(canon.func.lift, cx)
    const { host } = canon.func
    return this.#lowerHost(this.#program.host(host), this.#program.codecOf(host.type), cx)
  }

  #lowerHost(host: HostFunction<W>, codec: FunctionCodec, cx: Conversion): WebAssembly.ImportValue {
    const world = this.#world
    const call = (...flat: CoreValue[]): unknown => {
      let value: unknown
      try {
        value = host.call(world, ...codec.liftParams(cx, flat))
        if (value instanceof Promise) return this.#settle(value, codec, cx, flat)
        value = codec.succeed(value)
      } catch (thrown) {
        value = codec.fail(thrown)
      }
      return codec.lowerResult(cx, value, flat)
    }
    const guarded = this.#guarded(call)
    if (!host.mayWait) return guarded
    const { turns } = this.#watch
    return new WebAssembly.Suspending(turns === null ? guarded : tellingTurns(turns, guarded))
  }

  async #settle(
    pending: Promise<unknown>,
    codec: FunctionCodec,
    cx: Conversion,
    flat: readonly CoreValue[],
  ): Promise<CoreValue | undefined> {
    try {
      const stopped = (this.#stopped ??= openStop())
      let value: unknown
      try {
        value = codec.succeed(await Promise.race([pending, stopped.promise]))
      } catch (thrown) {
        value = codec.fail(thrown)
      }
      this.#assertRunning()
      return codec.lowerResult(cx, value, flat)
    } catch (thrown) {
      return this.#end(thrown)
    }
  }

  /** A call from one component inside to another: it waits, as either may. */
  #lowerGuest(lift: LiftPlan, cx: Conversion): WebAssembly.Suspending {
    const codec = this.#program.codecOf(lift.type)
    const call = async (...flat: CoreValue[]): Promise<CoreValue | undefined> => {
      try {
        this.#assertRunning()
        const value = await this.#callLifted(lift, codec.liftParams(cx, flat))
        return codec.lowerResult(cx, value, flat)
      } catch (thrown) {
        return this.#end(thrown)
      }
    }
    return new WebAssembly.Suspending(call)
  }

  #resourceFunction(canon: Exclude<CanonPlan, { op: 'lower' }>): (value: number) => unknown {
    const { op, resource, owner } = canon
    const handles = this.#handlesOf(owner)
    switch (op) {
      case 'resource.new':
        return (value) => handles.add(resource, value, true)
      case 'resource.rep':
        return (value) => handles.get(value >>> 0, resource)
      case 'resource.drop':
        return (value) => {
          const dropped = handles.drop(value >>> 0, resource)
          if (dropped !== undefined) this.#destroy(resource, dropped)
        }
      default:
        return op satisfies never
    }
  }

  #destroy({ destructor }: ResourceType, representation: number | object): void {
    if (typeof representation !== 'number') drop(representation)
    else if (destructor !== null) this.#coreFunction(destructor)(representation)
  }

  /** Whatever is thrown by `call` becomes a trap, which no guest can catch. */
  #guarded<A extends readonly CoreValue[]>(call: (...args: A) => unknown): (...args: A) => unknown {
    return (...args) => {
      try {
        this.#assertRunning()
        const refusal = this.#watch.count()
        if (refusal !== null) throw refusal
        return call(...args)
      } catch (thrown) {
        return this.#end(thrown)
      }
    }
  }

  #assertRunning(): void {
    if (this.#ending !== undefined) throw this.#ending.thrown
  }

  #end(thrown: unknown): never {
    this.#ending ??= { thrown }
    if (thrown instanceof WebAssembly.RuntimeError) throw thrown
    return trap(thrown instanceof Error ? thrown : new Error(String(thrown)))
  }
}

function openStop(): PromiseWithResolvers<never> {
  const stop = Promise.withResolvers<never>()
  // Nobody may be waiting when it comes.
  stop.promise.catch(() => {})
  return stop
}
