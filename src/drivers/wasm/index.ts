/**
 * The wasm driver: WebAssembly modules in executors, which are processes in the sandbox. An instance is one module that is
 * served; each request gets a fresh instance of the module inside. A run has an executor of its own, with its stdio.
 */

import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'
import type { Inspection, ModuleDemand } from '../../executor/protocol.ts'
import type { Capabilities, Driver, Instance, InstancePlan, ProbeReport } from '../driver.ts'
import { planExecutor, type ScriptFile } from '../module-plan.ts'
import { readPlan, writePlan } from '../record.ts'

import { Executors, type ExecutorsHost } from './executors.ts'
import { WasmInstance } from './instance.ts'
import { readScript } from './script.ts'

export interface WasmHost extends ExecutorsHost {
  /** Where folders of instances are made. */
  readonly instancesFolder: string
}

const MEMORY_BYTES_MIN = 64 * 1024
const INSTANCE_ID = /^[a-z0-9-]+-\d+-[a-z0-9]{6,}$/

export async function openWasmDriver(host: WasmHost): Promise<WasmDriver> {
  await mkdir(host.instancesFolder, { recursive: true, mode: 0o711 })
  return new WasmDriver(host)
}

export class WasmDriver implements Driver {
  readonly isolation = 'wasm'
  readonly capabilities: Capabilities = {
    pause: false,
    snapshot: false,
    memoryBytesMin: MEMORY_BYTES_MIN,
  }
  readonly #host: WasmHost
  readonly #executors: Executors

  constructor(host: WasmHost) {
    this.#host = host
    this.#executors = new Executors(host)
  }

  /** Executors are sandboxed processes: what those need, this needs. */
  async probe(): Promise<ProbeReport> {
    return await this.#host.processes.probe()
  }

  /** Judges a module before it is deployed: as `InspectModule`. */
  async inspect(
    file: string,
    demand: ModuleDemand | null,
    script: ScriptFile | null,
  ): Promise<Inspection> {
    const [executor, bytes, source] = await Promise.all([
      this.#executors.take(),
      readFile(file),
      script === null ? null : readScript(script),
    ])
    this.#executors.release()
    return await executor.link.inspect(bytes, demand, source)
  }

  /** Has an executor ready before the first module needs it. Whoever needs one is told why there is none. */
  async warmUp(): Promise<void> {
    try {
      await this.#executors.take()
      this.#executors.release()
    } catch {
      // Told to the first request that needs it.
    }
  }

  async prepare(plan: InstancePlan): Promise<Instance> {
    const { processes, tree, instancesFolder } = this.#host
    if (!plan.entry.endsWith('.wasm')) throw noModule(plan)
    if (plan.isRun) return await processes.prepare(planExecutor(plan, await tree()))
    const folder = path.join(instancesFolder, plan.id)
    await mkdir(folder, { mode: 0o711 })
    try {
      writePlan(folder, plan)
      return new WasmInstance(plan, folder, this.#executors)
    } catch (thrown) {
      await rm(folder, { recursive: true, force: true })
      throw thrown
    }
  }

  async adopt(): Promise<readonly Instance[]> {
    const adopted: Instance[] = []
    const places = new Map<string, () => void>()
    const instances = await this.#readInstances()
    for (const process of await this.#host.processes.adopt()) {
      if (process.plan.isRun) {
        // It has a process of its own.
        adopted.push(process)
        continue
      }
      const found = await this.#executors.adopt(process)
      if (found === undefined) continue
      const { executor, serving } = found
      for (const { instance, port } of serving) {
        const known = instances.get(instance)
        if (known !== undefined) places.set(instance, () => known.reconnect(executor, port))
        else executor.link.stop(instance, 0).catch(() => {})
      }
    }
    for (const [id, instance] of instances) {
      const place = places.get(id)
      if (place === undefined) instance.bury()
      else place()
      adopted.push(instance)
    }
    return adopted
  }

  /** The last thing a node does here, when its instances have ended. */
  async stopExecutors(): Promise<void> {
    await this.#executors.stopAll()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#executors.letGo()
  }

  async #readInstances(): Promise<ReadonlyMap<string, WasmInstance>> {
    const { instancesFolder } = this.#host
    const found = new Map<string, WasmInstance>()
    for (const name of await readdir(instancesFolder)) {
      if (!INSTANCE_ID.test(name)) continue
      const folder = path.join(instancesFolder, name)
      const plan = await readPlan(folder)
      if (plan === undefined) await rm(folder, { recursive: true, force: true })
      else found.set(name, new WasmInstance(plan, folder, this.#executors))
    }
    return found
  }
}

function noModule({ task }: InstancePlan): QuiverError {
  const message = `${task} has isolation "wasm", and its program is not WebAssembly`
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, {
    hint: 'Set file to a .wasm module, or isolation = "sandbox".',
  })
}
