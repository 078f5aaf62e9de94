/** From a module to an instance of it with everything that it imports; what can be looked up once is. */

import type { Link } from '../facts.ts'
import { prepareHost, type HostBinding } from '../host/bind.ts'
import type { HostSession } from '../host/session.ts'
import { MEMORY_IMPORT, type MemorySize } from '../module.ts'
import { WAITING_CALLS, type Wasi, type WasiModuleName } from '../wasi/wasi.ts'

import { Memories } from './memories.ts'

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

  /** @param memory  what the module imports as its memory; null: it makes its own */
  constructor(module: WebAssembly.Module, memory: MemorySize | null, links: readonly Link[]) {
    this.module = module
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

  /** A fresh instance. Runs its start function, if it has one. Whoever gets it ends it. */
  instantiate(wasi: Wasi | null, session: HostSession | null): GuestInstance {
    const imports = session === null ? {} : this.#host.bind(session)
    if (wasi !== null) {
      for (const { module, names } of this.#wasi) imports[module] = wasi.imports(names, module)
    }
    const given = this.#memories?.take()
    if (given !== undefined) {
      imports[MEMORY_IMPORT.module] = { [MEMORY_IMPORT.name]: given }
      // Its start function may call, too.
      wasi?.bind(given)
      session?.attach(given)
    }
    const instance = new WebAssembly.Instance(this.module, imports)
    const { memory } = instance.exports
    if (given === undefined && memory instanceof WebAssembly.Memory) {
      wasi?.bind(memory)
      session?.attach(memory)
    }
    return new GuestInstance(instance, () => {
      wasi?.close()
      if (given !== undefined) this.#memories?.give(given)
    })
  }
}

export class GuestInstance {
  readonly #instance: WebAssembly.Instance
  readonly #onEnd: () => void

  constructor(instance: WebAssembly.Instance, onEnd: () => void) {
    this.#instance = instance
    this.#onEnd = onEnd
  }

  /** Calls an exported function; nothing happens when there is none of that name. */
  call(name: string, ...args: Numbers): unknown {
    const found = this.#instance.exports[name]
    return typeof found === 'function' ? found(...args) : undefined
  }

  /** The same, for a module that may wait. */
  async callWaiting(name: string, ...args: Numbers): Promise<unknown> {
    const found = this.#instance.exports[name]
    return typeof found === 'function' ? await WebAssembly.promising(found)(...args) : undefined
  }

  /** None of its code runs any more, however it ended. */
  end(): void {
    this.#onEnd()
  }
}
