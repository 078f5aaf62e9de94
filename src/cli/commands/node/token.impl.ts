/** `quiver token`: what it does. The token is a file of this machine; a remote node does not tell it. */

import path from 'node:path'

import { loadToken, rotateToken } from '../../../client/token.ts'
import { QuiverError } from '../../../core/error.ts'
import type { CliContext } from '../../context.ts'
import { assertLocal, localFolders } from '../../local.ts'
import { say } from '../../print.ts'

interface Flags {
  readonly rotate: boolean
  readonly path: boolean
}

export async function token(this: CliContext, flags: Flags): Promise<void> {
  assertLocal(this.process.env, 'quiver token')
  const { data } = localFolders(this.process.env)
  const file = path.join(data, 'token')
  if (flags.path) {
    this.process.stdout.write(`${file}\n`)
    return
  }
  try {
    const text = flags.rotate ? await rotateToken(file) : await loadToken(file)
    this.process.stdout.write(`${text}\n`)
  } catch (thrown) {
    if (thrown instanceof QuiverError) throw thrown
    throw new QuiverError('permission_denied', 'TOKEN_UNREADABLE', `${file} cannot be used`, {
      hint: 'Run this as the user who runs the node.',
      cause: thrown,
    })
  }
  if (flags.rotate) say(this, 'The node takes it when it is restarted.')
}
