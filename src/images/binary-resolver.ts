/** From `node@26` to a stored binary: the newest that fits, or else one made by a recipe, once however many ask. */

import { QuiverError } from '../core/error.ts'
import { nearestName, type RuntimeReference } from '../core/name.ts'

import type { BuiltBinary } from './elf-binary.ts'
import { hostArchitecture } from './elf.ts'
import type { ImageStore, StoredBinary } from './images.ts'
import { buildRecipe, listRecipes, recipeVersion, type Recipe } from './recipe.ts'
import { buildEngine, ENGINE_NAMES, findEngine } from './script-engine.ts'
import { putSources } from './sources.ts'
import { compareVersions, versionFits } from './version.ts'

export class BinaryResolver {
  readonly #recipesFolder: string
  readonly #images: Pick<ImageStore, 'missing' | 'putFile' | 'putBinary' | 'listBinaries'>
  readonly #list: (name: string) => Promise<readonly StoredBinary[]>
  readonly #imports = new Map<string, Promise<StoredBinary>>()

  /** @param list  the stored binaries of one name */
  constructor(
    recipesFolder: string,
    images: Pick<ImageStore, 'missing' | 'putFile' | 'putBinary' | 'listBinaries'>,
    list: (name: string) => Promise<readonly StoredBinary[]>,
  ) {
    this.#recipesFolder = recipesFolder
    this.#images = images
    this.#list = list
  }

  /** As `ImageStore.resolveBinary`. */
  async resolve(reference: RuntimeReference, isFresh: boolean): Promise<StoredBinary> {
    if (ENGINE_NAMES.has(reference.name)) return await this.#resolveEngine(reference)
    const recipes = await listRecipes(this.#recipesFolder)
    const recipe = recipes.find(({ name, aliases }) => [name, ...aliases].includes(reference.name))
    const names = new Set([reference.name, recipe?.name ?? reference.name])
    const lists = await Promise.all([...names].map(async (name) => this.#list(name)))
    const stored = lists.flat().filter(({ config }) => config.platform === hostPlatform())
    const fitting = stored.filter(({ config }) => versionFits(reference.version, config.version))
    const [newest] = fitting.toSorted(newestFirst)
    if (newest && !(isFresh && recipe && (await isOnHost(recipe, reference)))) return newest
    if (!recipe) throw await this.#notFound(reference, stored, recipes)
    return this.#importFitting(reference, recipe, stored)
  }

  async #resolveEngine(reference: RuntimeReference): Promise<StoredBinary> {
    const engine =
      (await findEngine(this.#list)) ?? (await this.#importOnce('quickjs', buildEngine))
    if (versionFits(reference.version, engine.config.version)) return engine
    throw wrongVersion(reference, [engine.config.version])
  }

  async #importFitting(
    reference: RuntimeReference,
    recipe: Recipe,
    stored: readonly StoredBinary[],
  ): Promise<StoredBinary> {
    try {
      const version = await recipeVersion(recipe)
      if (versionFits(reference.version, version))
        return await this.#importOnce(recipe.name, () => buildRecipe(recipe))
      throw wrongVersion(reference, [...stored.map(({ config }) => config.version), version])
    } catch (thrown) {
      const cause = QuiverError.from(thrown)
      if (cause.reason !== 'HOST_FILE_MISSING') throw thrown
      const options = { cause, ...(cause.hint === undefined ? {} : { hint: cause.hint }) }
      throw new QuiverError('not_found', 'BINARY_NOT_FOUND', cause.message, options)
    }
  }

  async #importOnce(name: string, build: () => Promise<BuiltBinary>): Promise<StoredBinary> {
    const other = this.#imports.get(name)
    if (other) return other
    const importing = this.#import(build)
    this.#imports.set(name, importing)
    try {
      return await importing
    } finally {
      this.#imports.delete(name)
    }
  }

  async #import(build: () => Promise<BuiltBinary>): Promise<StoredBinary> {
    const { config, sources } = await build()
    await putSources(this.#images, sources)
    return this.#images.putBinary(config)
  }

  async #notFound(
    reference: RuntimeReference,
    stored: readonly StoredBinary[],
    recipes: readonly Recipe[],
  ): Promise<QuiverError> {
    if (stored.length > 0)
      return wrongVersion(
        reference,
        stored.map((s) => s.config.version),
      )
    const all = await this.#images.listBinaries()
    const names = [
      ...recipes.flatMap((r) => [r.name, ...r.aliases]),
      ...all.map((s) => s.config.name),
    ]
    const nearest = nearestName(reference.name, names)
    const known = [...new Set(names)].toSorted().join(', ')
    const hint = nearest === undefined ? `There are: ${known}.` : `Did you mean "${nearest}"?`
    return new QuiverError(
      'not_found',
      'BINARY_NOT_FOUND',
      `there is no binary "${reference.name}"`,
      {
        hint: `${hint} Any program can be imported with "quiver binary import PATH".`,
      },
    )
  }
}

/** Whether this machine has what the recipe makes a binary of, in a version that fits. */
async function isOnHost(recipe: Recipe, { version }: RuntimeReference): Promise<boolean> {
  try {
    return versionFits(version, await recipeVersion(recipe))
  } catch {
    return false
  }
}

function newestFirst(a: StoredBinary, b: StoredBinary): number {
  return compareVersions(b.config.version, a.config.version) || b.createdAtMs - a.createdAtMs
}

function wrongVersion(reference: RuntimeReference, versions: readonly string[]): QuiverError {
  const there = [...new Set(versions)].toSorted(compareVersions).join(', ')
  const message = `there is no ${reference.name}@${reference.version}; there is ${there}`
  return new QuiverError('not_found', 'BINARY_NOT_FOUND', message, {
    hint: `Ask for a version that is there, or write "${reference.name}" for the newest.`,
  })
}

function hostPlatform(): string {
  return `linux/${hostArchitecture()}`
}
