/** `quiver new`: what it does. */

import path from 'node:path'

import {
  formatTemplate,
  parseTemplateName,
  renderTemplate,
  writeTemplate,
} from '../../../config/templates.ts'
import type { CliContext } from '../../context.ts'
import { say } from '../../print.ts'

interface Flags {
  readonly template: string
  readonly force: boolean
  readonly preview: boolean
}

export async function create(this: CliContext, flags: Flags, target: string): Promise<void> {
  const folder = path.resolve(this.folder, target)
  const files = await renderTemplate(parseTemplateName(flags.template), path.basename(folder))
  if (flags.preview) {
    this.process.stdout.write(formatTemplate(files))
    return
  }
  await writeTemplate(folder, files, { force: flags.force })
  const shown = path.relative(this.folder, folder) || '.'
  for (const file of files.keys()) say(this, `wrote ${path.join(shown, file)}`)
  const isBelow = shown !== '.' && !shown.startsWith('..')
  say(this, `Next: quiver deploy ${isBelow ? `./${shown}` : shown}`)
}
