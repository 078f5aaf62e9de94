/** Shell commands as a user types them, in a folder and a node of their own. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'

import type { CommandResult } from './harness.ts'

const DEADLINE_MS = 180_000

export class Shell implements AsyncDisposable {
  readonly folder: string
  /** Where its node takes requests. */
  readonly port: number
  readonly env: NodeJS.ProcessEnv

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    this.env = {
      ...process.env,
      NO_COLOR: '1',
      QUIVER_DATA: path.join(folder, '.quiver'),
      QUIVER_LISTEN_HTTP: `127.0.0.1:${port}`,
      QUIVER_LISTEN_HTTPS: 'off',
    }
  }

  /** In an empty folder. */
  static async open(): Promise<Shell> {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-shell-'))
    await chmod(folder, 0o755)
    return new Shell(folder, await freePort())
  }

  /** Runs a script, which ends with the first command that fails. Each command is shown on stderr. */
  async run(script: string): Promise<CommandResult> {
    const child = spawn('sh', ['-euxc', script], {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: DEADLINE_MS,
    })
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    return { status: child.exitCode, stdout, stderr }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Nobody has it now; whoever takes it meanwhile fails the test loudly. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port }: Partial<AddressInfo> = Object(server.address())
  server.close()
  await once(server, 'close')
  return Number(port)
}
