/**
 * Recipes: how a binary is made from what a machine has installed. `recipes/*.toml` declare, this file reads them and
 * follows them; nothing is downloaded, and the only program that is run is the one that tells its version.
 */

import { execFile } from 'node:child_process'
import { glob, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

import * as toml from 'smol-toml'
import * as z from 'zod'

import { QuiverError } from '../core/error.ts'

import type { BuiltBinary } from './elf-binary.ts'
import { hostArchitecture, readElf } from './elf.ts'
import { HostTree } from './host-tree.ts'

const run = promisify(execFile)
const COMMAND_TIMEOUT_MS = 10_000

const absolute = z.string().regex(/^(\/|\{node\})/, 'must be an absolute path')
const command = z.tuple([absolute], z.string())

const RecipeSchema = z.strictObject({
  name: z.string().describe('Name of the binary, as in `runtime = "node@26"`.'),
  aliases: z.array(z.string()).default([]).describe('Other names for it.'),
  version: command.describe('Prints the version; the first dotted number in its output counts.'),
  entry: absolute.describe('The program, in the tree.'),
  program: absolute.optional().describe('The program on this machine, when it is somewhere else.'),
  closure: z.boolean().default(true).describe('Add the libraries that ELF files need.'),
  libraries: z.array(z.string()).default([]).describe('Libraries loaded while running.'),
  files: z.array(absolute).default([]).describe('Globs; each must match.'),
  optional: z.array(absolute).default([]).describe('Globs that may match nothing.'),
  exclude: z.array(absolute).default([]).describe('Globs to leave out of `files` and `optional`.'),
  packages: z.array(z.string()).default([]).describe('Debian packages that bring all this.'),
  env: z.record(z.string(), z.string()).default({}),
  texts: z.record(absolute, z.string()).default({}).describe('Files with this content.'),
  links: z.record(absolute, absolute).default({}).describe('Symlinks and their targets.'),
  applets: z
    .strictObject({ folder: absolute, list: command })
    .optional()
    .describe('Symlinks to the program, one for each line that the command prints.'),
})

export type Recipe = z.output<typeof RecipeSchema>

/** @throws QuiverError `invalid_argument/RECIPE_INVALID` naming the file and every problem */
export async function listRecipes(folder: string): Promise<readonly Recipe[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.toml'))
  return Promise.all(names.toSorted().map((name) => readRecipe(path.join(folder, name))))
}

/**
 * The version that an import would have now.
 *
 * @throws QuiverError `failed_precondition/RECIPE_FAILED`, `not_found/HOST_FILE_MISSING`
 */
export async function recipeVersion(recipe: Recipe): Promise<string> {
  const output = await outputOf(recipe, recipe.version)
  const version = /\d+(?:\.\d+)+/.exec(output)?.[0]
  if (version !== undefined) return version
  throw failed(recipe, `"${recipe.version.join(' ')}" printed no version`)
}

/**
 * Describes the binary; stores nothing.
 *
 * @throws QuiverError `not_found/HOST_FILE_MISSING` with the packages to install, `failed_precondition/RECIPE_FAILED`
 */
export async function buildRecipe(recipe: Recipe): Promise<BuiltBinary> {
  const version = await recipeVersion(recipe)
  const host = new HostTree()
  const program = substitute(recipe.program ?? recipe.entry, version)
  try {
    if (recipe.program === undefined) await host.add(program)
    else await host.addAs(program, recipe.entry)
  } catch (cause) {
    throw notInstalled(recipe, program, cause)
  }
  await addGlobs(host, recipe, version)
  for (const [place, target] of Object.entries(recipe.links)) host.link(place, target)
  for (const [place, content] of Object.entries(recipe.texts)) host.text(place, content)
  if (recipe.applets) await addApplets(host, recipe, recipe.applets)
  if (recipe.closure) await addClosure(host, recipe, program)

  const { name, entry, env } = recipe
  const platform = `linux/${hostArchitecture()}`
  const { tree, sources } = await host.build()
  const config = { schema: 1, kind: 'binary', name, version, platform, entry, env, tree } as const
  return { config, sources }
}

async function readRecipe(file: string): Promise<Recipe> {
  try {
    return RecipeSchema.parse(toml.parse(await readFile(file, 'utf8')))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause)
    const message = `the recipe ${file} is not valid:\n${why}`
    throw new QuiverError('invalid_argument', 'RECIPE_INVALID', message, { cause })
  }
}

async function addGlobs(host: HostTree, recipe: Recipe, version: string): Promise<void> {
  const exclude = recipe.exclude.map((pattern) => substitute(pattern, version))
  for (const pattern of [...recipe.files, ...recipe.optional]) {
    const matched = substitute(pattern, version)
    const found = await Array.fromAsync(glob(matched, { exclude, withFileTypes: true }))
    for (const one of found) {
      if (!one.isDirectory()) await addIfWhole(host, path.join(one.parentPath, one.name))
    }
    const isMissing = found.length === 0 && recipe.files.includes(pattern)
    if (isMissing) throw notInstalled(recipe, matched, undefined)
  }
}

/** A dangling symlink of the machine is no loss. */
async function addIfWhole(host: HostTree, file: string): Promise<void> {
  try {
    await host.add(file)
  } catch (thrown) {
    if (QuiverError.from(thrown).reason !== 'HOST_FILE_MISSING') throw thrown
  }
}

async function addApplets(
  host: HostTree,
  recipe: Recipe,
  applets: NonNullable<Recipe['applets']>,
): Promise<void> {
  const output = await outputOf(recipe, applets.list)
  for (const name of output.split('\n').filter((line) => /^[^/\s]+$/.test(line))) {
    host.link(`${applets.folder}/${name}`, recipe.entry)
  }
}

async function addClosure(host: HostTree, recipe: Recipe, program: string): Promise<void> {
  const elf = await readElf(program)
  if (!elf) throw failed(recipe, `${program} is not an ELF program`)
  const lost = await host.addLibraries(elf.architecture, recipe.libraries)
  // An extension module may lack a library here as it does on the machine itself; the program may not.
  const fatal = lost.find(({ neededBy }) => neededBy === program)
  if (fatal)
    throw failed(recipe, `${program} needs ${fatal.name}, which this machine does not have`)
}

async function outputOf(recipe: Recipe, argv: readonly string[]): Promise<string> {
  const [program = '', ...args] = argv.map((arg) => substitute(arg, ''))
  try {
    const options = { env: {}, timeout: COMMAND_TIMEOUT_MS, cwd: '/' }
    const { stdout, stderr } = await run(program, args, options)
    return `${stdout}\n${stderr}`
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw notInstalled(recipe, program, cause)
    }
    throw failed(recipe, `"${argv.join(' ')}" failed: ${String(cause)}`)
  }
}

/** `{node}`: the Node.js that runs us; `{major}`, `{minor}`: of the binary's version. */
function substitute(text: string, version: string): string {
  const [major = '', minor = ''] = version.split('.')
  const values: Readonly<Record<string, string>> = { node: process.execPath, major, minor }
  return text.replaceAll(/\{(\w+)\}/g, (whole, key: string) => values[key] ?? whole)
}

function notInstalled(recipe: Recipe, file: string, cause: unknown): QuiverError {
  const message = `${recipe.name} is not installed on this machine: there is no ${file}`
  const packages = recipe.packages.join(' ')
  return new QuiverError('not_found', 'HOST_FILE_MISSING', message, {
    hint: packages === '' ? 'Install it.' : `Install it with "apt-get install ${packages}".`,
    cause,
  })
}

function failed(recipe: Recipe, why: string): QuiverError {
  const message = `the recipe ${recipe.name} failed: ${why}`
  return new QuiverError('failed_precondition', 'RECIPE_FAILED', message, {
    hint: 'Reinstall the program on this machine.',
  })
}
