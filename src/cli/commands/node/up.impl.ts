/** `quiver up` and `quiver down`: what they do. The node itself is the daemon's; this waits for it and stops it. */

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'

import { QuiverError, errnoOf } from '../../../core/error.ts'
import type { CliContext, StartedNode } from '../../context.ts'
import { assertLocal, localFolders } from '../../local.ts'
import { say } from '../../print.ts'
import { formatPairs } from '../../table.ts'

/** Flag → setting of the node, as node.toml has it. */
const SETTINGS = {
  listenHttp: 'listen.http',
  listenHttps: 'listen.https',
  listenApi: 'listen.api',
  domain: 'domain',
  run: 'run',
  tlsCertificate: 'tls.certificate',
  tlsKey: 'tls.key',
  uidBase: 'uid.base',
  uidSize: 'uid.size',
  limitsTasks: 'limits.tasks',
  limitsInstances: 'limits.instances',
} as const

interface UpFlags extends Readonly<Partial<Record<keyof typeof SETTINGS, string>>> {
  readonly detach: boolean
}

export async function up(this: CliContext, flags: UpFlags): Promise<void> {
  const isDetached = flags.detach
  const entries = Object.entries(SETTINGS).map(([flag, name]) => [name, valueOf(flags, flag)])
  const settings: Record<string, string> = Object.fromEntries(
    entries.filter(([, value]) => value !== undefined),
  )
  const { env } = this.process
  const options = { flags: settings, env, isDetached }
  const { supervisor, warnings } = await this.startNode(options, this.signal)
  for (const warning of warnings) say(this, `warning: ${warning}`)
  say(this, `The node runs, process ${supervisor.pid}.`)
  this.process.stdout.write(formatPairs([...supervisor.addresses].filter(isPublic)))
  if (isDetached) {
    const { data } = localFolders(env)
    const isUsual = data === localFolders({ ...env, QUIVER_DATA: '' }).data
    say(this, `Stop it with ${isUsual ? '"quiver down"' : `"quiver down --data ${data}"`}.`)
    return
  }
  say(this, 'Stop it with Ctrl-C.')
  this.process.exitCode = await untilExited(this, supervisor)
}

function valueOf(flags: UpFlags, flag: string): string | undefined {
  const found = Object.entries(flags).find(([key]) => key === flag)?.[1]
  return typeof found === 'string' ? found : undefined
}

function isPublic([name]: readonly [string, string]): boolean {
  return ['http', 'https', 'api', 'api-tcp'].includes(name)
}

/** Ctrl-C reaches the supervisor from the terminal itself; what is sent to us alone is passed on. */
async function untilExited(
  context: CliContext,
  supervisor: StartedNode['supervisor'],
): Promise<number> {
  const taken = context.takeSignals((signal) => {
    if (signal !== 'SIGINT' || context.stdin.isTTY !== true) supervisor.kill('SIGTERM')
  })
  const status = await supervisor.exited
  taken[Symbol.dispose]()
  return status
}

const STOP_POLL_MS = 50

/** The supervisor's pid is in its lock file; it lets go of everything before it ends. */
export async function down(this: CliContext): Promise<void> {
  assertLocal(this.process.env, 'quiver down')
  const { data } = localFolders(this.process.env)
  const pid = await supervisorPid(path.join(data, 'lock'))
  if (pid === undefined) {
    throw new QuiverError('failed_precondition', 'NODE_NOT_RUNNING', `no node runs on ${data}`, {
      hint: 'Name its data folder with --data, or see "quiver node inspect".',
    })
  }
  kill(pid, 'SIGTERM')
  while (await isSupervisor(pid)) {
    await setTimeout(STOP_POLL_MS, undefined, { signal: this.signal })
  }
  say(this, `The node is stopped, process ${pid}.`)
}

async function supervisorPid(lock: string): Promise<number | undefined> {
  const text = await readFile(lock, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return ''
    throw error
  })
  const pid = /^\d+/.exec(text)?.[0]
  if (pid === undefined || !(await isSupervisor(Number(pid)))) return undefined
  return Number(pid)
}

/** Whether the process lives and is a supervisor: a pid in a stale lock may be somebody else's now. */
async function isSupervisor(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.split('\0')[1] === 'supervise'
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (cause) {
    if (errnoOf(cause) === 'ESRCH') return
    throw new QuiverError('permission_denied', 'NODE_DENIED', `process ${pid} is not yours`, {
      hint: 'Stop it as the user who started it, or with sudo.',
      cause,
    })
  }
}
