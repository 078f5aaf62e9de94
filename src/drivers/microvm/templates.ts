/**
 * Machines that were saved, to be cloned: memory in one file, which clones map copy-on-write, and the state of the devices in
 * another. How a machine is started and when it may be saved is the driver's; what it is saved for, `template-facts.ts`.
 *
 *     get ─▶ (make ─▶ pause ─▶ save ─▶ quit ─▶ sealed)? ─▶ Template ─▶ clone* ─▶ remove
 *
 * A template is whole when its folder has its final name, whatever was killed before. It is never changed.
 */

import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import path from 'node:path'

import { errnoOf, QuiverError } from '../../core/error.ts'
import { diskError } from '../process.ts'

import type { MachineControl } from './machine.ts'
import { templateKey, type TemplateFacts } from './template-facts.ts'
import { findDamage, MEMORY, readFacts, STATE, writeManifest } from './template-manifest.ts'

const NAME = /^[0-9a-f]{64}$/
/** In which stat(2) counts. */
const BLOCK_BYTES = 512

/** A machine that is where it is to be saved, with its memory in the draft's file. It is paused, saved and ended here. */
export interface SavableMachine {
  readonly control: MachineControl
  /** Resolves when its processes are gone: nothing writes to the memory any more. */
  readonly ended: Promise<void>
  /** Ends it without its help. Harmless when it has ended. */
  kill(): void
}

export interface Draft {
  /** Exists, with the machine's memory size; the user that was asked for may write to it. */
  readonly memoryFile: string
}

export interface TemplateOptions {
  readonly facts: TemplateFacts
  readonly memoryBytes: number
  /** Who the hypervisor is while the template is made; null: whoever this process is. */
  readonly uid: number | null
  /** Group of those who may read its memory, which has secrets of a program; null: everybody may, there is none in it. */
  readonly gid?: number | null
}

export interface Template {
  readonly key: string
  /** For a clone: readable by the users that it was made for, and to be given to it read-only. */
  readonly memoryFile: string
}

/** One of those that are there. */
export interface TemplateEntry {
  readonly key: string
  readonly facts: TemplateFacts
  /** On the disk, both files. */
  readonly bytes: number
  /** Milliseconds since the epoch. */
  readonly madeAtMs: number
  readonly usedAtMs: number
}

/** Since this process began. The fast path that is silently off shows here. */
export interface TemplateCounts {
  readonly made: number
  readonly cloned: number
  /** Found to be truncated, foreign or of other files, and made anew. */
  readonly damaged: number
}

export class Templates {
  readonly #folder: string
  readonly #underWay = new Map<string, Promise<Template>>()
  #counts: TemplateCounts = { made: 0, cloned: 0, damaged: 0 }

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Deletes what a killed process left unfinished. One process at a time may use the folder. */
  static async open(folder: string): Promise<Templates> {
    await mkdir(folder, { recursive: true, mode: 0o711 })
    await chmod(folder, 0o711)
    const leftovers = (await readdir(folder)).filter((name) => !NAME.test(name))
    await Promise.all(
      leftovers.map((name) => rm(path.join(folder, name), { recursive: true, force: true })),
    )
    return new Templates(folder)
  }

  get counts(): TemplateCounts {
    return this.#counts
  }

  /** The template, if it is there and whole; a damaged one is deleted. Cheap: part of every clone. */
  async find(facts: TemplateFacts): Promise<Template | undefined> {
    const key = templateKey(facts)
    const folder = path.join(this.#folder, key)
    const isThere = await stat(folder).then(
      () => true,
      () => false,
    )
    if (!isThere) return undefined
    const damage = await findDamage(folder, facts)
    if (damage === undefined) return this.#template(key)
    this.#count('damaged')
    await this.remove(key)
    return undefined
  }

  /**
   * The template, made by starting a machine unless it is there. Calls that overlap make it once.
   *
   * @param make  starts the machine that is saved. When it throws, what it has started has ended
   * @throws QuiverError `resource_exhausted/DISK_FULL`; what `make` throws; what `MachineControl` throws
   */
  async get(
    options: TemplateOptions,
    make: (draft: Draft) => Promise<SavableMachine>,
  ): Promise<Template> {
    const key = templateKey(options.facts)
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) return await underWay
    const getting = this.#findOrMake(key, options, make)
    this.#underWay.set(key, getting)
    try {
      return await getting
    } finally {
      this.#underWay.delete(key)
    }
  }

  /**
   * Gives a machine that waits for it (`start = load`, with the template's memory) its state. It is paused afterwards.
   *
   * @throws QuiverError `failed_precondition/TEMPLATE_FAILED`; what `MachineControl` throws. The machine is of no use then
   */
  async clone(template: Template, control: MachineControl): Promise<void> {
    const state = await open(path.join(this.#folder, template.key, STATE))
    try {
      await control.load(state)
    } finally {
      await state.close()
    }
    const status = await control.status()
    if (status !== 'paused') throw failed(`a clone is ${status} after it was loaded`)
    this.#count('cloned')
    const now = new Date()
    // For `collectGarbage`: a failure only makes it look unused.
    await utimes(path.join(this.#folder, template.key), now, now).catch(() => {})
  }

  /** Clones that run keep its memory. */
  async remove(key: string): Promise<void> {
    const doomed = this.#temporary(key)
    try {
      await rename(path.join(this.#folder, key), doomed)
    } catch {
      return
    }
    await rm(doomed, { recursive: true, force: true })
  }

  /** Those that are there, the most recently cloned or made first. */
  async list(): Promise<readonly string[]> {
    const names = (await readdir(this.#folder)).filter((name) => NAME.test(name))
    const aged = await Promise.all(
      names.map(async (name) => {
        const status = await stat(path.join(this.#folder, name)).catch(() => undefined)
        return { name, usedAtMs: status?.mtimeMs ?? 0 }
      }),
    )
    return aged.toSorted((a, b) => b.usedAtMs - a.usedAtMs).map(({ name }) => name)
  }

  /** What is there, as `list`; of which the disk holds less than the memory's size. */
  async describe(): Promise<readonly TemplateEntry[]> {
    const entries = await Promise.all((await this.list()).map((key) => this.#describe(key)))
    return entries.filter((entry) => entry !== undefined)
  }

  /** Keeps the `count` that were used last. */
  async collectGarbage(count: number): Promise<void> {
    const unused = (await this.list()).slice(count).filter((key) => !this.#underWay.has(key))
    await Promise.all(unused.map((key) => this.remove(key)))
  }

  async #findOrMake(
    key: string,
    options: TemplateOptions,
    make: (draft: Draft) => Promise<SavableMachine>,
  ): Promise<Template> {
    const found = await this.find(options.facts)
    if (found !== undefined) return found
    const draft = this.#temporary(key)
    try {
      await makeDraft(draft, options)
      await save(await make({ memoryFile: path.join(draft, MEMORY) }), path.join(draft, STATE))
      await seal(draft, options)
      await rename(draft, path.join(this.#folder, key))
      await sync(this.#folder)
    } catch (thrown) {
      await rm(draft, { recursive: true, force: true })
      throw diskError(thrown, 'a template of a microVM')
    }
    this.#count('made')
    return this.#template(key)
  }

  /** Undefined for one that is removed meanwhile, or cannot be read. */
  async #describe(key: string): Promise<TemplateEntry | undefined> {
    const folder = path.join(this.#folder, key)
    const facts = await readFacts(folder)
    try {
      const [used, memory, state] = await Promise.all(
        [folder, path.join(folder, MEMORY), path.join(folder, STATE)].map((file) => stat(file)),
      )
      if (facts === undefined || !used || !memory || !state) return undefined
      const bytes = (memory.blocks + state.blocks) * BLOCK_BYTES
      return { key, facts, bytes, madeAtMs: memory.ctimeMs, usedAtMs: used.mtimeMs }
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return undefined
      throw thrown
    }
  }

  #template(key: string): Template {
    return { key, memoryFile: path.join(this.#folder, key, MEMORY) }
  }

  #temporary(key: string): string {
    return path.join(this.#folder, `${key}.tmp-${randomBytes(6).toString('hex')}`)
  }

  #count(what: keyof TemplateCounts): void {
    this.#counts = { ...this.#counts, [what]: this.#counts[what] + 1 }
  }
}

async function makeDraft(folder: string, { memoryBytes, uid }: TemplateOptions): Promise<void> {
  await mkdir(folder, { mode: 0o711 })
  await chmod(folder, 0o711)
  const file = path.join(folder, MEMORY)
  const memory = await open(file, 'wx', 0o600)
  try {
    await memory.truncate(memoryBytes)
  } finally {
    await memory.close()
  }
  if (uid !== null) await chown(file, uid, uid)
}

/** The machine has ended afterwards, however this ends. */
async function save(machine: SavableMachine, stateFile: string): Promise<void> {
  const { control } = machine
  const state = await open(stateFile, 'wx', 0o600)
  try {
    await control.pause()
    await control.save(state)
  } finally {
    await state.close()
    await control.quit().catch(() => {})
    await control[Symbol.asyncDispose]()
    machine.kill()
    await machine.ended
  }
}

/** From here on it is the node's, and nobody writes to it. */
async function seal(folder: string, { facts, gid = null }: TemplateOptions): Promise<void> {
  const own = process.getgid?.() ?? 0
  for (const name of [MEMORY, STATE]) {
    const file = await open(path.join(folder, name), 'r')
    try {
      const [group, mode] =
        name === STATE ? [own, 0o400] : gid === null ? [own, 0o444] : [gid, 0o440]
      await file.chown(process.getuid?.() ?? 0, group)
      await file.chmod(mode)
      await file.sync()
    } finally {
      await file.close()
    }
  }
  await writeManifest(folder, facts)
  await sync(folder)
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function failed(why: string): QuiverError {
  return new QuiverError('failed_precondition', 'TEMPLATE_FAILED', why, {
    hint: 'The machine is booted instead; "quiver doctor" says whether its QEMU is one that Quiver knows.',
  })
}
