/**
 * Judges WebAssembly before a revision of it is made: whether it can run as its specification says, and whether the tasks
 * that it imports from are there. What reads a module is a driver, in a sandbox; here is only what is done with its words.
 */

import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { SCRIPT_INPUT, type Revision, type Task, type TaskSpec } from '../core/task.ts'
import type {
  InspectModule,
  ModuleDemand,
  ModuleInspection,
  ScriptFile,
} from '../drivers/module-plan.ts'
import type { ImageStore, StoredBinary, StoredImage } from '../images/images.ts'
import { isWasm } from '../images/wasm-binary.ts'

import { connectLinks } from './links.ts'
import { assertNoPlainTcp } from './plain-tcp.ts'
import type { TaskRegistry } from './registry.ts'

/** An inspection is a few kilobytes at most. */
const KEPT_MAX = 256
const SCRIPT_BYTES_MAX = 4 * 1024 * 1024

export class ModuleJudge {
  readonly #images: ImageStore
  readonly #inspect: InspectModule
  /** By binary and what it has to be fit for; the newest last. */
  readonly #kept = new Map<string, Promise<ModuleInspection>>()

  constructor(images: ImageStore, inspect: InspectModule) {
    this.#images = images
    this.#inspect = inspect
  }

  /**
   * @returns the specification, with a connection for each task that the module imports from
   * @throws QuiverError as the executor says what is wrong with the module; `invalid_argument/SPEC_UNSUPPORTED`,
   *   what `connectLinks` and `assertNoPlainTcp` throw
   */
  async judge(
    spec: TaskSpec,
    image: StoredImage,
    kind: Task['kind'],
    registry: TaskRegistry,
  ): Promise<TaskSpec> {
    const binary = await this.#images.getBinary(image.config.binary)
    await this.assertCallersKnown({ spec, image: image.digest }, registry)
    if (!isWasm(binary.config.platform)) {
      if (spec.isolation === 'wasm') throw notWasm(spec)
      return spec
    }
    if (spec.isolation === 'microvm') throw noMachine(spec)
    assertNothingPublished(spec)
    const demand = demandOf(spec, kind)
    // What is to come is judged when it comes.
    if (demand.isRun && spec.wasm?.script === SCRIPT_INPUT) return spec
    const script = await this.#findScript(spec, image)
    const { links } = await this.inspect(binary, demand, script)
    const inspectTask = (task: string) => this.#inspectTask(task, registry)
    return await connectLinks(spec, links, { registry, inspectTask })
  }

  /** Whether modules know who calls them, with this revision. @throws QuiverError as `assertNoPlainTcp` */
  async assertCallersKnown(
    { spec, image }: Pick<Revision, 'spec' | 'image'>,
    registry: TaskRegistry,
  ): Promise<void> {
    await assertNoPlainTcp(spec, await this.#isModule(image), registry, async (name) => {
      const revision = registry.current(registry.require(name))
      return revision !== undefined && (await this.#isModule(revision.image))
    })
  }

  async #isModule(image: Digest): Promise<boolean> {
    const { config } = await this.#images.getImage(image)
    return isWasm((await this.#images.getBinary(config.binary)).config.platform)
  }

  /** What a binary is, whatever it is to be used for; null when it is no module, or one that nobody can read. */
  async describe(binary: StoredBinary): Promise<ModuleInspection | null> {
    if (!isWasm(binary.config.platform)) return null
    return await this.inspect(binary, null).catch(() => null)
  }

  /** A deployed task as its deployment saw it; null when it is no module. */
  async #inspectTask(name: string, registry: TaskRegistry): Promise<ModuleInspection | null> {
    const task = registry.require(name)
    const revision = registry.current(task)
    if (revision === undefined) return null
    const image = await this.#images.getImage(revision.image)
    const binary = await this.#images.getBinary(image.config.binary)
    if (!isWasm(binary.config.platform)) return null
    const script = await this.#findScript(revision.spec, image)
    return script === null ? await this.inspect(binary, demandOf(revision.spec, task.kind)) : null
  }

  /** What a module is; asked for once for each binary and demand. */
  async inspect(
    binary: StoredBinary,
    demand: ModuleDemand | null,
    script: ScriptFile | null = null,
  ): Promise<ModuleInspection> {
    // The path of a script has the digest of its image in it.
    const key = `${binary.digest} ${JSON.stringify([demand, script])}`
    const asked = this.#kept.get(key) ?? this.#ask(binary, demand, script)
    this.#kept.delete(key)
    this.#kept.set(key, asked)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break
      this.#kept.delete(oldest)
    }
    try {
      return await asked
    } catch (thrown) {
      // What failed for want of an executor may work the next time.
      if (this.#kept.get(key) === asked) this.#kept.delete(key)
      throw thrown
    }
  }

  async #ask(
    { digest, config }: StoredBinary,
    demand: ModuleDemand | null,
    script: ScriptFile | null,
  ): Promise<ModuleInspection> {
    const tree = await this.#images.materialise(digest)
    return await this.#inspect(`${tree.path}${config.entry}`, demand, script)
  }

  /** @throws QuiverError `invalid_argument/SCRIPT_MISSING`, `invalid_argument/SCRIPT_TOO_LARGE` */
  async #findScript(spec: TaskSpec, image: StoredImage): Promise<ScriptFile | null> {
    const name = spec.wasm?.script ?? null
    if (name === null) return null
    // Only what the image lists as a file of its own: this process reads it, and may read everything.
    const entry = image.config.tree.find((one) => one.kind === 'file' && one.path === name)
    if (entry?.kind !== 'file') throw scriptMissing(spec.name, name)
    if (entry.bytes > SCRIPT_BYTES_MAX) throw scriptTooLarge(name, entry.bytes)
    const tree = await this.#images.materialise(image.digest)
    return { path: `${tree.path}/${name}`, name }
  }
}

function demandOf(spec: TaskSpec, kind: Task['kind']): ModuleDemand {
  // In a sandbox of its own without a web server, it is a program that runs once.
  const isRun = kind === 'run' || (spec.isolation !== 'wasm' && spec.http === null)
  const { entry = null, isReused = false } = spec.wasm ?? {}
  return { entry, memoryBytes: spec.limits.memoryBytes, isReused, isRun }
}

function noMachine({ name }: TaskSpec): QuiverError {
  const message = `${name} is WebAssembly, which isolation "microvm" does not run yet`
  return new QuiverError('unimplemented', 'SPEC_UNSUPPORTED', message, {
    hint: 'Choose isolation "wasm" or "sandbox".',
  })
}

function scriptMissing(task: string, name: string): QuiverError {
  const message = `the image of ${task} has no file "${name}" to run`
  return new QuiverError('invalid_argument', 'SCRIPT_MISSING', message, {
    hint: 'Build the image again from its folder.',
  })
}

function scriptTooLarge(name: string, bytes: number): QuiverError {
  const message = `${name} has ${bytes} bytes; a script may have ${SCRIPT_BYTES_MAX}`
  return new QuiverError('invalid_argument', 'SCRIPT_TOO_LARGE', message, {
    hint: 'Minify it, or keep its data outside of it.',
  })
}

function notWasm({ name }: TaskSpec): QuiverError {
  const message = `${name} has isolation "wasm", and its program is not WebAssembly`
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, {
    hint: 'Set file to a .wasm module or a .js file, or isolation = "sandbox".',
  })
}

/** A port that is published passes the proxy by, which says who a request comes from: exports are called by tasks alone. */
function assertNothingPublished({ name, ports }: TaskSpec): void {
  if (ports.every(({ publish }) => publish === null)) return
  const message = `${name} is a WebAssembly module, and publishes a port: it has none`
  throw new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, {
    hint: 'Leave out [[port]] and --publish; it answers HTTP, by the routes under [http].',
  })
}
