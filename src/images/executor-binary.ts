/**
 * The binary that runs WebAssembly: Node.js with the executor of this version of Quiver, as plain JavaScript. It is like any
 * other binary, but nobody names it: it is made when the first module needs it, and again when Quiver or Node.js changed.
 */

import { createHash } from 'node:crypto'
import { glob, readFile, stat } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'

import type { BuiltBinary } from './elf-binary.ts'
import { hostArchitecture, readElf } from './elf.ts'
import { HostTree } from './host-tree.ts'
import type { ImageStore } from './images.ts'
import { putSources } from './sources.ts'

const NAME = 'executor'
/** The program of the tree. */
export const EXECUTOR_PROGRAM = '/usr/bin/node'
const ROOT = '/usr/lib/quiver'
/** What the executor is made of: it imports nothing else of Quiver, and no package. */
const FOLDERS = ['core', 'guest', 'executor']

/** Argument of the program: the executor's entry. */
export const EXECUTOR_MAIN = `${ROOT}/executor/main.js`
/** An empty file of the tree, over which a module is mounted. */
export const MODULE_PATH = '/module.wasm'

type Images = Pick<ImageStore, 'listBinaries' | 'missing' | 'putFile' | 'putBinary' | 'materialise'>

export class ExecutorBinary {
  readonly #images: Images
  #tree: Promise<string> | undefined

  constructor(images: Images) {
    this.#images = images
  }

  /** The folder of its tree, made on first use. */
  async tree(): Promise<string> {
    this.#tree ??= this.#make()
    try {
      return await this.#tree
    } catch (thrown) {
      this.#tree = undefined
      throw thrown
    }
  }

  async #make(): Promise<string> {
    const root = path.resolve(import.meta.dirname, '..')
    const files = await listFiles(root)
    const version = await versionOf(root, files)
    const stored = (await this.#images.listBinaries()).find(
      ({ config }) => config.name === NAME && config.version === version,
    )
    const digest = stored?.digest ?? (await this.#store(await readSources(root, files), version))
    return (await this.#images.materialise(digest)).path
  }

  async #store(sources: ReadonlyMap<string, string>, version: string) {
    const built = await build(sources, version)
    await putSources(this.#images, built.sources)
    return (await this.#images.putBinary(built.config)).digest
  }
}

/** Paths below the root, sorted. */
async function listFiles(root: string): Promise<readonly string[]> {
  const exclude = ['**/*.test.*', '**/*.d.ts', '**/bindings/**']
  const pattern = `{${FOLDERS.join(',')}}/**/*.{ts,js}`
  return (await Array.fromAsync(glob(pattern, { cwd: root, exclude }))).toSorted()
}

/** Path below the root → JavaScript. */
async function readSources(
  root: string,
  files: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const sources = new Map<string, string>()
  for (const file of files) {
    const text = await readFile(path.join(root, file), 'utf8')
    const isTypeScript = file.endsWith('.ts')
    sources.set(file.replace(/\.ts$/, '.js'), isTypeScript ? toJavaScript(text) : text)
  }
  return sources
}

/** As `tsc` with `rewriteRelativeImportExtensions` does it for the package. */
function toJavaScript(source: string): string {
  return stripTypeScriptTypes(source).replaceAll(
    /(\bfrom\s*|\bimport\s*\(?\s*)'(\.[^'\n]+)\.ts'/g,
    "$1'$2.js'",
  )
}

/** Cheap to find, since it is asked for when a node starts: files are told by their sizes and times, and not read. */
async function versionOf(root: string, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(process.version)
  const all = [process.execPath, ...files.map((file) => path.join(root, file))]
  const statuses = await Promise.all(all.map((file) => stat(file)))
  for (const [index, { size, mtimeMs }] of statuses.entries()) {
    hash.update(`${all[index]} ${size} ${mtimeMs}\n`)
  }
  return `${process.versions.node}-${hash.digest('hex').slice(0, 12)}`
}

async function build(sources: ReadonlyMap<string, string>, version: string): Promise<BuiltBinary> {
  const host = new HostTree()
  await host.addAs(process.execPath, EXECUTOR_PROGRAM)
  const elf = await readElf(process.execPath)
  await host.addLibraries(elf?.architecture ?? 'unknown', [])
  host.text(`${ROOT}/package.json`, '{"type":"module"}\n')
  host.text(MODULE_PATH, '')
  for (const [file, text] of sources) host.text(`${ROOT}/${file}`, text)
  const built = await host.build()
  const platform = `linux/${hostArchitecture()}`
  const facts = {
    name: NAME,
    version,
    platform,
    entry: EXECUTOR_PROGRAM,
    env: {},
    tree: built.tree,
  }
  return { config: { schema: 1, kind: 'binary', ...facts }, sources: built.sources }
}
