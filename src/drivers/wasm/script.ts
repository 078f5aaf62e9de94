/** The script that a JavaScript engine is to run, read from the tree of an image. */

import { readFile } from 'node:fs/promises'

import { QuiverError } from '../../core/error.ts'
import type { ScriptSource } from '../../executor/protocol.ts'
import type { ScriptFile } from '../module-plan.ts'

/** @throws QuiverError `invalid_argument/SCRIPT_MISSING` */
export async function readScript({ path, name }: ScriptFile): Promise<ScriptSource> {
  try {
    return { name, text: await readFile(path, 'utf8') }
  } catch (cause) {
    const message = `the image has no file ${name} that could be read`
    throw new QuiverError('invalid_argument', 'SCRIPT_MISSING', message, {
      hint: 'Build the image again from its folder.',
      cause,
    })
  }
}
