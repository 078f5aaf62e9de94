/** A script as it goes into an image: JavaScript in one file. TypeScript loses its types here; everything keeps its line and column. */

import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'

import { digestOf } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import type { Sources, TreeEntry } from '../images/images.ts'

/** The binary that runs scripts; every node has it. */
export const SCRIPT_RUNTIME = 'js'

/** Whether a name stands for it, as in `quiver run js`. */
export function isScriptRuntime(name: string): boolean {
  return ['js', 'javascript', 'quickjs'].includes(name)
}

export interface ScriptImage {
  readonly tree: readonly TreeEntry[]
  readonly sources: Sources
}

/**
 * All that the image of a script holds: a script sees no files.
 *
 * @param name  of the file, in the folder and in the image
 * @throws QuiverError `not_found/HOST_FILE_MISSING`, `invalid_argument/SCRIPT_INVALID` with file and line
 */
export async function collectScript(folder: string, name: string): Promise<ScriptImage> {
  const file = path.join(folder, name)
  const source = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new QuiverError('not_found', 'HOST_FILE_MISSING', `there is no readable file ${file}`, {
      hint: 'Write it first, or correct its path.',
      cause,
    })
  })
  return buildScript(path.normalize(name), source)
}

export function buildScript(name: string, source: string): ScriptImage {
  const bytes = Buffer.from(/\.[cm]?ts$/.test(name) ? stripTypes(name, source) : source)
  const digest = digestOf(bytes)
  const entry = {
    kind: 'file',
    path: name,
    digest,
    bytes: bytes.length,
    isExecutable: false,
  } as const
  return { tree: [entry], sources: new Map([[digest, bytes]]) }
}

function stripTypes(name: string, source: string): string {
  try {
    return stripTypeScriptTypes(source)
  } catch (cause) {
    throw new QuiverError('invalid_argument', 'SCRIPT_INVALID', explain(name, cause), {
      hint: 'Leave out what needs more than its types removed, such as enum, namespace and parameter properties.',
      cause,
    })
  }
}

/** Node.js draws the place: `:LINE`, some lines of the source, and below the last one a mark. */
function explain(name: string, cause: unknown): string {
  const { message, stack = '' } = cause instanceof Error ? cause : new Error(String(cause))
  const [, line = '', before = ''] = /^\S*:(\d+)\n(?:.*\n)*?( *)\^+ *\n/.exec(stack) ?? []
  return `${name}${line === '' ? '' : `:${line}:${before.length + 1}`}: ${message}`
}
