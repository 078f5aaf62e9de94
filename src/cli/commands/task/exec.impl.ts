/** `quiver exec`: what it does. */

import type { Client } from '../../../client/client.ts'
import { parseEnvFlags } from '../../../config/env.ts'
import type { CliContext } from '../../context.ts'
import { isOnTerminal, runInForeground, terminalSize } from '../../foreground.ts'

interface Flags {
  readonly env?: readonly string[]
  readonly lend: boolean
  readonly terminal?: boolean
}

export async function exec(
  this: CliContext,
  flags: Flags,
  target: string,
  ...args: string[]
): Promise<void> {
  using client = await this.openClient()
  const isTerminal = flags.terminal ?? isOnTerminal(this)
  const command = args.length === 0 ? ['sh'] : args
  const request = {
    kind: 'exec',
    args: command,
    env: { ...terminalEnv(isTerminal, this), ...parseEnvFlags(flags.env ?? [], this.process.env) },
    terminal: isTerminal ? terminalSize(this) : null,
    isLent: flags.lend || (await isMissing(this, client, target, command[0] ?? '')),
  } as const
  using session = await client.openSession(target, request, this.signal)
  const status = await runInForeground(this, session, {
    isTerminal: isTerminal && isOnTerminal(this),
    hasStdin: true,
    signal: async (signal) => session.signal(signal),
  })
  this.process.exitCode = status === 'detached' ? 0 : status
}

/** How programs are to draw is known on this side only. */
function terminalEnv(isTerminal: boolean, { process }: CliContext): Record<string, string> {
  const { TERM } = process.env
  return isTerminal && TERM !== undefined ? { TERM } : {}
}

const PROGRAM_FOLDERS = ['usr/local/sbin', 'usr/local/bin', 'usr/sbin', 'usr/bin', 'sbin', 'bin']

/**
 * Whether what is asked for by its bare name is neither in the binary nor in the image, so that the node must lend it.
 * Looked up beforehand: once a command has been tried, input may have gone to it.
 */
async function isMissing(
  { signal }: CliContext,
  client: Client,
  target: string,
  program: string,
): Promise<boolean> {
  if (program.includes('/')) return false
  const instances = await client.call('listInstances', { query: {} }, signal)
  const found = instances.find(({ id }) => id === target)
  const task = await client.call('getTask', { params: { name: found?.task ?? target } }, signal)
  const number = found?.revision ?? task.revision
  const reference = task.revisions.find((one) => one.number === number)?.image ?? task.image
  const image = await client.call('getImage', { params: { reference } }, signal)
  const binary = await client.call('getBinary', { params: { reference: image.binary } }, signal)
  const paths = new Set(PROGRAM_FOLDERS.map((folder) => `${folder}/${program}`))
  return !binary.config.tree.some(({ path }) => paths.has(path))
}
