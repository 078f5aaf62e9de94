/** From a module to an instance of it with everything that it imports; what can be looked up once is. */

import type { Link } from '../facts.ts'
import { prepareHost, type HostBinding } from '../host/bind.ts'
import type { HostSession } from '../host/session.ts'
import { MEMORY_IMPORT, type MemorySize } from '../module.ts'
import { tellingTurns, type Turns } from '../turns.ts'
import { WAITING_CALLS, type Wasi, type WasiModuleName } from '../wasi/wasi.ts'

import type { Budget, Holder, Share } from './budget.ts'
import type { LimitBreach } from './failure.ts'
import { Memories } from './memories.ts'
import { explainFull } from './memory-full.ts'

interface WasiImports {
  readonly module: WasiModuleName
  readonly names: readonly string[]
}

export type Numbers = readonly (number | bigint)[]

export class ModuleBinding {
  readonly module: WebAssembly.Module
  /** Some import may wait: exports are to be called by `callWaiting`. */
  readonly mayWait: boolean
  readonly hasWasi: boolean
  readonly hasHost: boolean
  readonly #host: HostBinding
  readonly #wasi: readonly WasiImports[]
  readonly #memories: Memories | null
  readonly #budget: Budget | null
  readonly #memoryNames: readonly string[]
  /** What an instance begins with; not known before the first. */
  #initialBytes = 0

  /**
   * @param memory  what the module imports as its memory; null: it makes its own
   * @param budget  of all its instances; null: there is only one
   */
  constructor(
    module: WebAssembly.Module,
    memory: MemorySize | null,
    links: readonly Link[],
    budget: Budget | null = null,
  ) {
    this.module = module
    this.#budget = budget
    this.#memoryNames = WebAssembly.Module.exports(module)
      .filter(({ kind }) => kind === 'memory')
      .map(({ name }) => name)
    const imports = WebAssembly.Module.imports(module)
    this.#host = prepareHost(imports, links)
    this.#wasi = (['wasi_snapshot_preview1', 'wasi_unstable'] as const)
      .map((name) => ({
        module: name,
        names: imports.filter((one) => one.module === name).map((one) => one.name),
      }))
      .filter(({ names }) => names.length > 0)
    this.#memories = memory === null ? null : new Memories(memory)
    this.hasWasi = this.#wasi.length > 0
    this.hasHost = imports.some(
      (one) => !one.module.startsWith('wasi_') && one.module !== MEMORY_IMPORT.module,
    )
    this.mayWait =
      this.#host.mayWait ||
      this.#wasi.some(({ names }) => names.some((name) => WAITING_CALLS.has(name)))
  }

  /** A fresh instance. Runs its start function, if it has one. Whoever gets it ends it. @throws LimitBreach `OUT_OF_MEMORY` */
  instantiate(wasi: Wasi | null, session: HostSession | null): GuestInstance {
    const share = this.#budget?.open(this.#initialBytes) ?? null
    const guest = new GuestInstance(share, wasi, session, this.#memories)
    try {
      guest.start(this.module, this.#bind(wasi, session, share), this.#memoryNames)
    } catch (thrown) {
      guest.end()
      throw thrown
    }
    this.#initialBytes ||= share?.look() ?? 0
    return guest
  }

  #bind(wasi: Wasi | null, session: HostSession | null, turns: Turns | null): WebAssembly.Imports {
    const imports = session === null ? {} : this.#host.bind(session, turns)
    if (wasi === null) return imports
    for (const { module, names } of this.#wasi) {
      const functions = wasi.functions(names, module)
      const bound: WebAssembly.ModuleImports = {}
      for (const [name, call] of Object.entries(functions)) {
        if (!WAITING_CALLS.has(name)) bound[name] = call
        else
          bound[name] = new WebAssembly.Suspending(
            turns === null ? call : tellingTurns(turns, call),
          )
      }
      imports[module] = bound
    }
    return imports
  }
}

export class GuestInstance implements Holder {
  readonly #share: Share | null
  readonly #wasi: Wasi | null
  readonly #session: HostSession | null
  readonly #pool: Memories | null
  #given: WebAssembly.Memory | undefined
  memories: readonly WebAssembly.Memory[] = []
  #exports: WebAssembly.Exports = {}
  #initialBytes = Infinity

  constructor(
    share: Share | null,
    wasi: Wasi | null,
    session: HostSession | null,
    pool: Memories | null,
  ) {
    this.#share = share
    this.#wasi = wasi
    this.#session = session
    this.#pool = pool
    share?.hold(this)
  }

  /** Once, before anything is called. */
  start(
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
    memoryNames: readonly string[],
  ): void {
    const given = this.#pool?.take()
    this.#given = given
    if (given !== undefined) {
      imports[MEMORY_IMPORT.module] = { [MEMORY_IMPORT.name]: given }
      // Its start function may call, too.
      this.#attach(given)
      this.memories = [given]
    }
    this.#exports = this.#take(() => new WebAssembly.Instance(module, imports).exports)
    const exported = memoryNames.map((name) => this.#exports[name])
    this.memories = [...new Set([given, ...exported])].filter(isMemory)
    this.#initialBytes = this.memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
    const { memory } = this.#exports
    if (given === undefined && memory instanceof WebAssembly.Memory) this.#attach(memory)
  }

  /** Calls an exported function; nothing happens when there is none of that name. */
  call(name: string, ...args: Numbers): unknown {
    const found = this.#exports[name]
    return typeof found === 'function' ? this.#take(() => found(...args)) : undefined
  }

  /** The same, for a module that may wait. */
  async callWaiting(name: string, ...args: Numbers): Promise<unknown> {
    const found = this.#exports[name]
    if (typeof found !== 'function') return undefined
    const calling = this.#take(() => WebAssembly.promising(found)(...args))
    try {
      return await calling
    } catch (thrown) {
      throw this.#explain(thrown)
    }
  }

  /** Ends it from outside: what it waits for fails. */
  stop(reason: LimitBreach): void {
    this.#session?.end(reason)
    this.#wasi?.stop(reason)
  }

  /** None of its code runs any more, however it ended. */
  end(): void {
    this.#wasi?.close()
    this.#share?.close()
    if (this.#given !== undefined) this.#pool?.give(this.#given)
    this.#given = undefined
  }

  #attach(memory: WebAssembly.Memory): void {
    this.#wasi?.bind(memory)
    this.#session?.attach(memory)
  }

  /** One turn of the guest on the thread. */
  #take<T>(turn: () => T): T {
    this.#share?.enter()
    try {
      return turn()
    } catch (thrown) {
      throw this.#explain(thrown)
    } finally {
      this.#share?.yield()
    }
  }

  #explain(thrown: unknown): unknown {
    return explainFull(thrown, this.memories, this.#initialBytes, this.#share?.bytesMax)
  }
}

function isMemory(value: unknown): value is WebAssembly.Memory {
  return value instanceof WebAssembly.Memory
}
