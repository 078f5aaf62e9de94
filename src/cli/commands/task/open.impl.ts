/** `quiver open`: what it does. */

import { spawn } from 'node:child_process'

import { QuiverError } from '../../../core/error.ts'
import type { CliContext } from '../../context.ts'

export async function openTask(this: CliContext, _flags: object, name: string): Promise<void> {
  using client = await this.openClient()
  const { urls } = await client.call('getTask', { params: { name } }, this.signal)
  const [url] = urls
  if (url === undefined) {
    throw new QuiverError('failed_precondition', 'NO_URL', `${name} has no web server`, {
      hint: 'Tasks have a URL when their quiver.toml has [http].',
    })
  }
  this.process.stdout.write(`${url}\n`)
  const { env } = this.process
  const hasDisplay = env['DISPLAY'] !== undefined || env['WAYLAND_DISPLAY'] !== undefined
  if (!hasDisplay) return
  const child = spawn('xdg-open', [url], { stdio: 'ignore', detached: true })
  // Without a browser, the URL is enough.
  child.on('error', () => {})
  child.unref()
}
