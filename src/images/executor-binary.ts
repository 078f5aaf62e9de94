/**
 * The binary that runs WebAssembly: Node.js with the executor of this version of Quiver, as plain JavaScript. It is like any
 * other binary, but nobody names it: it is made when the first module needs it, and again when Quiver or Node.js changed.
 */

import { glob, readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'

import type { BuiltBinary } from './elf-binary.ts'
import { hostArchitecture, readElf } from './elf.ts'
import { HostTree } from './host-tree.ts'
import { fingerprintOf, OwnBinary, type OwnImages } from './own-binary.ts'

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

export class ExecutorBinary {
  readonly #binary: OwnBinary

  constructor(images: OwnImages) {
    const root = path.resolve(import.meta.dirname, '..')
    this.#binary = new OwnBinary(images, {
      name: NAME,
      fingerprint: async () => {
        const files = (await listFiles(root)).map((file) => path.join(root, file))
        return await fingerprintOf([process.execPath, ...files], process.version)
      },
      build: async (fingerprint) => {
        const sources = await readSources(root, await listFiles(root))
        return await build(sources, `${process.versions.node}-${fingerprint}`)
      },
    })
  }

  /** The folder of its tree, made on first use. */
  async tree(): Promise<string> {
    return (await this.#binary.tree()).path
  }

  /** As `OwnBinary.removeOthers`. */
  async removeOthers(treesInUse: ReadonlySet<string>): Promise<void> {
    await this.#binary.removeOthers(treesInUse)
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
