/** `quiver completion`: what it does. */

import type { CliContext } from '../../context.ts'
import { completionScript } from '../../shells.ts'
import type { Shell } from '../../shells.ts'

export function completion(this: CliContext, _flags: object, shell: Shell): void {
  this.process.stdout.write(completionScript(shell))
}
