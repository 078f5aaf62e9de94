/** `quiver run`: what it does. */

import path from 'node:path'

import type { Client } from '../../../client/client.ts'
import type { RunRequest, RunResult } from '../../../client/resources.ts'
import { formatAddresses } from '../../addresses.ts'
import type { CliContext } from '../../context.ts'
import { isOnTerminal, runInForeground, terminalSize } from '../../foreground.ts'
import { buildOverrides } from '../../overrides.ts'
import type { OverrideFlags } from '../../parameters.ts'
import type { SharedFolder } from '../../parse.ts'
import { printJson, say } from '../../print.ts'
import { sendRunnable, type Runnable } from '../../runnable.ts'

interface Flags extends OverrideFlags {
  readonly name?: string
  readonly dir?: readonly SharedFolder[]
  readonly timeout?: number
  readonly detach: boolean
  readonly rm: boolean
  readonly terminal?: boolean
  readonly stdin?: boolean
  readonly json: boolean
}

export async function run(
  this: CliContext,
  flags: Flags,
  target: string,
  ...args: string[]
): Promise<void> {
  using client = await this.openClient()
  const runnable = await sendRunnable(this, client, target, args)
  // A list of configurations is run in its order, up to the first that fails.
  const configs = (flags.config ?? runnable.defaultConfig ?? '').split(',')
  for (const config of configs) {
    const request = await buildRequest(this, flags, runnable, config)
    const result = await client.call('createRun', { body: request }, this.signal)
    if (flags.detach) {
      showDetached(this, flags.json, result)
      continue
    }
    const status = await follow(this, client, request, result)
    this.process.exitCode = status
    if (status !== 0) return
  }
}

async function buildRequest(
  context: CliContext,
  flags: Flags,
  runnable: Runnable,
  config: string,
): Promise<RunRequest> {
  const isTerminal =
    flags.terminal ?? (!flags.detach && !runnable.isInputTaken && isOnTerminal(context))
  return {
    image: runnable.image,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(config === '' ? {} : { config }),
    overrides: {
      ...(await buildOverrides(context, flags, runnable.folder, runnable.args)),
      ...(flags.timeout === undefined ? {} : { wallTimeMs: flags.timeout }),
    },
    terminal: isTerminal ? terminalSize(context) : null,
    hasStdin: !runnable.isInputTaken && (flags.stdin ?? !flags.detach),
    isDetached: flags.detach,
    ...(flags.dir === undefined ? {} : { folders: flags.dir.map(locate(context)) }),
    isRemovedAtEnd: flags.rm || (!flags.detach && flags.name === undefined),
  }
}

/** Whether there is such a folder, the node says: it is the node's machine that shares it. */
function locate({ folder }: CliContext): (shared: SharedFolder) => SharedFolder {
  return (shared) => ({ ...shared, source: path.resolve(folder, shared.source) })
}

function showDetached(context: CliContext, isJson: boolean, result: RunResult): void {
  if (isJson) {
    printJson(context, result)
    return
  }
  for (const url of result.urls) say(context, url)
  for (const { address, hostPort, port } of result.publish) {
    say(context, `${address}:${hostPort} → ${port}`)
  }
  for (const text of formatAddresses(result.addresses)) say(context, text)
  context.process.stdout.write(`${result.task}\n`)
}

async function follow(
  context: CliContext,
  client: Client,
  request: RunRequest,
  result: RunResult,
): Promise<number> {
  const isQuiet = request.terminal !== null
  const facts = [...result.urls, ...formatAddresses(result.addresses)]
  if (!isQuiet) for (const fact of facts) say(context, fact)
  const { instance } = result
  using session = await client.openSession(
    instance,
    { kind: 'attach', isPrimary: true },
    context.signal,
  )
  const status = await runInForeground(context, session, {
    isTerminal: request.terminal !== null && isOnTerminal(context),
    hasStdin: request.hasStdin,
    // Beside the session: behind input that the program does not read, a signal would not arrive.
    signal: async (signal) => {
      await client.call(
        'signalInstance',
        { params: { id: instance }, body: { signal } },
        AbortSignal.timeout(SIGNAL_TIMEOUT_MS),
      )
    },
  })
  return status === 'detached' ? 0 : status
}

const SIGNAL_TIMEOUT_MS = 5000
