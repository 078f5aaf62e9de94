/** Starts `ainit launch` for one instance and tells it everything over a descriptor, so that nothing touches a disk. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { Duplex } from 'node:stream'

import { assert } from '../../core/assert.ts'
import { QuiverError } from '../../core/error.ts'
import { encodeRecords } from '../../core/frames.ts'
import type { InstancePlan } from '../driver.ts'

import type { InstanceCgroup } from './cgroup.ts'
import { parseEvent } from './channel.ts'
import { buildRecords, type SandboxHost } from './launch-plan.ts'

export interface Launched {
  /** Resolves when both sockets listen. @throws QuiverError `failed_precondition/START_FAILED` */
  readonly bound: Promise<void>
  /** Resolves when bwrap, and with it the whole pid namespace, is gone. */
  readonly ended: Promise<void>
}

export async function launch(
  plan: InstancePlan,
  host: SandboxHost,
  paths: { readonly folder: string; readonly socket: string },
  cgroup: InstanceCgroup,
): Promise<Launched> {
  const records = encodeRecords(buildRecords(plan, host, paths, cgroup))
  const log = openSync(path.join(paths.folder, 'launch.log'), 'w', 0o600)
  try {
    const child = spawn(host.ainitPath, ['launch'], {
      // Its own session, so that nothing sent to this process's group reaches it.
      detached: true,
      env: {},
      stdio: ['ignore', 'ignore', log, 'pipe'],
    })
    // It may outlive this process.
    child.unref()
    const ended = once(child, 'exit').then(() => {})
    const channel = child.stdio[3]
    assert(channel instanceof Duplex, 'descriptor 3 was asked to be a socket')
    channel.write(records)
    return { bound: readAnswer(channel), ended }
  } finally {
    closeSync(log)
  }
}

async function readAnswer(channel: Duplex): Promise<void> {
  let said = ''
  channel.on('error', () => {})
  for await (const chunk of channel) {
    said += String(chunk)
    if (said.endsWith('\n')) break
  }
  if (said.startsWith('bound')) return
  const { fields } = parseEvent(said)
  const why = said === '' ? 'it ended before it answered' : `${fields['step']}: ${fields['text']}`
  throw new QuiverError('failed_precondition', 'START_FAILED', `ainit launch failed: ${why}`, {
    hint: 'Run "quiver doctor" to see what this machine lacks.',
  })
}
