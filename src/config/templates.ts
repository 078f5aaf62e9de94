/**
 * `quiver new`: the files that an application begins with.
 *
 * Templates are folders in `templates/` at the root of the package, for an application called `my-app`. Their manifests
 * are valid as they stand; two kinds of comment are replaced by what the schema says about keys that are not used:
 *
 *     #: keys limits           keys of [limits], or of the top when no section is named
 *     #: sections env, build   whole sections
 */

import { lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { parse } from 'smol-toml'

import { QuiverError } from '../core/error.ts'
import { nearestName, parseName } from '../core/name.ts'

import { MANIFEST_FILE } from './manifest.ts'
import { listSections, type KeyReference, type SectionReference } from './reference.ts'

/** Templates and what they are. */
export const TEMPLATES = {
  node: 'a web server on Node.js',
  'node-chat': 'a chat room on Node.js, over WebSocket',
  python: 'a web server on Python',
  nginx: 'a web site on nginx, with its configuration',
  redis: 'a redis that other tasks connect to',
  busybox: 'a shell script that runs and ends',
  static: 'a folder of files on the web, served by busybox',
  c: 'a web server in C, linked statically',
  go: 'a web server in Go',
  'wasm-c': 'WebAssembly in C, with the host functions and libc',
  'wasm-rust': 'WebAssembly in Rust, with the standard library',
  'wasm-assemblyscript': 'WebAssembly in AssemblyScript, with the host functions',
  'wasm-go': 'WebAssembly in Go, with the standard library',
  'wasm-js': 'a JavaScript function, in WebAssembly',
  'wasm-wat': 'WebAssembly in its text form, with the host functions',
} as const satisfies Record<string, string>

export type TemplateName = keyof typeof TEMPLATES

export interface TemplateFile {
  readonly text: string
  readonly isExecutable: boolean
}

/** By path relative to the new folder. */
export type TemplateFiles = ReadonlyMap<string, TemplateFile>

const FOLDER = path.join(import.meta.dirname, '../../templates')
const PLACEHOLDER = /\bmy-app\b/g

/** @throws QuiverError `not_found/TEMPLATE_NOT_FOUND` with the nearest name */
export function parseTemplateName(text: string): TemplateName {
  if (isTemplateName(text)) return text
  const names = Object.keys(TEMPLATES)
  const nearest = nearestName(text, names)
  const hint =
    nearest === undefined ? `There are: ${names.join(', ')}.` : `Did you mean "${nearest}"?`
  throw new QuiverError('not_found', 'TEMPLATE_NOT_FOUND', `there is no template "${text}"`, {
    hint,
  })
}

/**
 * The files of a new application, in the order of their paths.
 *
 * @param name  of the task
 * @throws QuiverError `invalid_argument/NAME_INVALID`
 */
export async function renderTemplate(template: TemplateName, name: string): Promise<TemplateFiles> {
  const task = parseName(name)
  const folder = path.join(FOLDER, template)
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry): Promise<[string, TemplateFile]> => {
        const file = path.join(entry.parentPath, entry.name)
        const text = await readFile(file, 'utf8')
        const { mode } = await stat(file)
        const filled = entry.name === MANIFEST_FILE ? fillManifest(text) : text
        const isExecutable = (mode & 0o100) !== 0
        return [
          path.relative(folder, file),
          { text: filled.replaceAll(PLACEHOLDER, task), isExecutable },
        ]
      }),
  )
  return new Map(files.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * Writes the files below a folder, which is made if need be. Everything is checked before anything is written, and
 * what was written is taken back when a later file fails.
 *
 * @param force  replace files that exist; a symbolic link is replaced, not followed
 * @throws QuiverError `already_exists/FILES_EXIST` naming all that exist; nothing was written
 */
export async function writeTemplate(
  folder: string,
  files: TemplateFiles,
  { force }: { readonly force: boolean },
): Promise<void> {
  await refuseObstacles(folder, files)
  if (!force) await refuseExisting(folder, files)
  const written: string[] = []
  try {
    for (const [file, content] of files) {
      const target = path.join(folder, file)
      await mkdir(path.dirname(target), { recursive: true })
      await writeOne(target, content, force)
      written.push(target)
    }
  } catch (thrown) {
    if (!force) await Promise.all(written.map((target) => rm(target, { force: true })))
    throw thrown
  }
}

/** The files as `--preview` prints them. */
export function formatTemplate(files: TemplateFiles): string {
  const parts = Array.from(files, ([file, { text, isExecutable }]) => {
    return `──── ${file}${isExecutable ? ' (executable)' : ''}\n${text}`
  })
  return parts.join('\n')
}

async function writeOne(
  target: string,
  { text, isExecutable }: TemplateFile,
  force: boolean,
): Promise<void> {
  const mode = isExecutable ? 0o755 : 0o644
  if (!force) return writeFile(target, text, { mode, flag: 'wx' })
  const temporary = `${target}.quiver-new`
  await writeFile(temporary, text, { mode, flag: 'wx' })
  try {
    await rename(temporary, target)
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw thrown
  }
}

async function refuseExisting(folder: string, files: TemplateFiles): Promise<void> {
  const kinds = await Promise.all(
    Array.from(files.keys(), (file) => kindOf(path.join(folder, file))),
  )
  const existing = [...files.keys()].filter((_file, index) => kinds[index] !== 'none')
  if (existing.length === 0) return
  const message = `${folder} has ${existing.join(', ')} already`
  throw new QuiverError('already_exists', 'FILES_EXIST', message, {
    hint: 'Choose another name, or replace these files with --force.',
  })
}

/** What not even --force replaces: a file where a folder is needed, a folder where a file is. */
async function refuseObstacles(folder: string, files: TemplateFiles): Promise<void> {
  const targets = Array.from(files.keys(), (file) => path.join(folder, file))
  const parents = new Set([folder, ...targets.map((target) => path.dirname(target))])
  for (const parent of parents) {
    if ((await kindOf(parent)) === 'other') throw obstacle(parent, 'is not a folder')
  }
  for (const target of targets) {
    if ((await kindOf(target)) === 'folder') throw obstacle(target, 'is a folder')
  }
}

function obstacle(place: string, what: string): QuiverError {
  return new QuiverError('already_exists', 'FILES_EXIST', `${place} ${what}`, {
    hint: 'Choose another name, or move it away.',
  })
}

async function kindOf(place: string): Promise<'none' | 'folder' | 'other'> {
  try {
    const found = await lstat(place)
    if (found.isSymbolicLink()) {
      const target = await stat(place).catch(() => undefined)
      return target?.isDirectory() === true ? 'folder' : 'other'
    }
    return found.isDirectory() ? 'folder' : 'other'
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'none'
    throw thrown
  }
}

/** Replaces the `#:` comments of a template's manifest. */
function fillManifest(text: string): string {
  const used = parse(text)
  const sections = listSections()
  const filled = text.replaceAll(
    /^#: (keys|sections)(?: (.*))?$/gm,
    (_line, kind: string, list = '') => {
      const names = String(list).split(', ')
      const chosen = sections.filter(({ name }) => names.includes(name))
      const blocks = chosen.map((section) => {
        if (kind === 'sections') return commentSection(section)
        return commentKeys(section.keys, usedKeys(used, section.name))
      })
      return blocks.filter((block) => block !== '').join('\n')
    },
  )
  const own = filled.replaceAll('"hello.localhost"', '"my-app.localhost"')
  return `${own.replaceAll(/\n{3,}/g, '\n\n').trimEnd()}\n`
}

function commentSection({ header, meaning, keys }: SectionReference): string {
  const lines = [`\n# ${header}  # ${meaning}`]
  if (keys.length > 0) lines.push(commentKeys(keys, new Set()))
  return lines.join('\n')
}

/** One comment a key: what to write, and what it means. */
function commentKeys(keys: readonly KeyReference[], used: ReadonlySet<string>): string {
  const unused = keys.filter(({ name }) => !used.has(name))
  const lines = unused.map((key) => `# ${key.name} = ${key.default ?? key.example ?? '""'}`)
  const width = Math.min(40, Math.max(...lines.map((line) => line.length)))
  return lines
    .map((line, index) => `${line.padEnd(width)}  # ${unused[index]?.meaning ?? ''}`)
    .join('\n')
}

/** Keys that a section of the template sets. Of `runtime` and `file` one excludes the other. */
function usedKeys(used: Record<string, unknown>, section: string): ReadonlySet<string> {
  const value = section === '' ? used : used[section]
  const table: unknown = Array.isArray(value) ? value[0] : value
  const keys = typeof table === 'object' && table !== null ? Object.keys(table) : []
  return new Set(section === '' ? [...keys, 'runtime', 'file'] : keys)
}

function isTemplateName(text: string): text is TemplateName {
  return Object.hasOwn(TEMPLATES, text)
}
