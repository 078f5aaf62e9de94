/** From a module to an instance of it with everything that it imports; what can be looked up once is. */

import type { Link } from '../facts.ts'
import { prepareHost, type HostBinding } from '../host/bind.ts'
import type { HostSession } from '../host/session.ts'
import { WAITING_CALLS, type Wasi, type WasiModuleName } from '../wasi/wasi.ts'

interface WasiImports {
  readonly module: WasiModuleName
  readonly names: readonly string[]
}

export class ModuleBinding {
  readonly module: WebAssembly.Module
  /** Some import may wait: exports are to be called through `WebAssembly.promising`. */
  readonly mayWait: boolean
  readonly hasWasi: boolean
  readonly hasHost: boolean
  readonly #host: HostBinding
  readonly #wasi: readonly WasiImports[]

  constructor(module: WebAssembly.Module, links: readonly Link[]) {
    this.module = module
    const imports = WebAssembly.Module.imports(module)
    this.#host = prepareHost(imports, links)
    this.#wasi = (['wasi_snapshot_preview1', 'wasi_unstable'] as const)
      .map((name) => ({
        module: name,
        names: imports.filter((one) => one.module === name).map((one) => one.name),
      }))
      .filter(({ names }) => names.length > 0)
    this.hasWasi = this.#wasi.length > 0
    this.hasHost = imports.some((one) => !one.module.startsWith('wasi_'))
    this.mayWait =
      this.#host.mayWait ||
      this.#wasi.some(({ names }) => names.some((name) => WAITING_CALLS.has(name)))
  }

  /** A fresh instance. Runs its start function, if it has one. */
  instantiate(wasi: Wasi | null, session: HostSession | null): WebAssembly.Instance {
    const imports = session === null ? {} : this.#host.bind(session)
    if (wasi !== null) {
      for (const { module, names } of this.#wasi) imports[module] = wasi.imports(names, module)
    }
    const instance = new WebAssembly.Instance(this.module, imports)
    const { memory } = instance.exports
    if (memory instanceof WebAssembly.Memory) {
      wasi?.bind(memory)
      session?.attach(memory)
    }
    return instance
  }
}

export type GuestExport = (...args: readonly (number | bigint)[]) => unknown

/** An exported function; undefined when there is none of that name. */
export function findExport(instance: WebAssembly.Instance, name: string): GuestExport | undefined {
  const found = instance.exports[name]
  return typeof found === 'function' ? (...args) => found(...args) : undefined
}

/** The same, for a module that may wait. */
export function findWaiting(
  instance: WebAssembly.Instance,
  name: string,
): ((...args: readonly (number | bigint)[]) => Promise<unknown>) | undefined {
  const found = instance.exports[name]
  return typeof found === 'function' ? WebAssembly.promising(found) : undefined
}
