/** Starts `ainit launch` for one instance and tells it everything over a descriptor, so that nothing touches a disk. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { Duplex } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import { encodeRecords } from '../../core/frames.ts'

import { parseEvent } from './channel.ts'
import type { Records } from './records.ts'

export interface Launched {
  /** Resolves when both sockets listen. @throws QuiverError `failed_precondition/START_FAILED` */
  readonly bound: Promise<void>
  /** Resolves when bwrap, and with it the whole pid namespace, is gone. */
  readonly ended: Promise<void>
  /** For one that hangs before its sockets listen. */
  kill(): void
}

/** @param folder  of the instance */
export function launch(ainitPath: string, folder: string, records: Records): Launched {
  const encoded = encodeRecords(records)
  const log = openSync(path.join(folder, 'launch.log'), 'w', 0o600)
  try {
    const child = spawn(ainitPath, ['launch'], {
      // Its own session, so that nothing sent to this process's group reaches it.
      detached: true,
      env: {},
      stdio: ['ignore', 'ignore', log, 'pipe'],
    })
    // It may outlive this process.
    child.unref()
    const failed = Promise.withResolvers<never>()
    child.once('error', (cause) => failed.reject(spawnFailed(cause)))
    // One that could not be made has ended; why, `bound` says.
    const ended = once(child, 'exit').then(
      () => {},
      () => {},
    )
    // Undefined where the descriptors of this process are used up, whatever the types say.
    const stdio: ChildProcess['stdio'] | undefined = child.stdio
    const channel = stdio?.[3]
    const answer = channel instanceof Duplex ? [talk(channel, encoded)] : []
    const bound = Promise.race([failed.promise, ...answer])
    // Nobody waits for it any more when the instance is stopped meanwhile.
    bound.catch(() => {})
    return { bound, ended, kill: () => void child.kill('SIGKILL') }
  } finally {
    closeSync(log)
  }
}

async function talk(channel: Duplex, records: Uint8Array): Promise<void> {
  channel.write(records)
  await readAnswer(channel)
}

function spawnFailed(cause: Error): QuiverError {
  const message = `ainit could not be started: ${cause.message}`
  return new QuiverError('failed_precondition', 'START_FAILED', message, {
    cause,
    hint: 'Run "quiver doctor" to see what this machine lacks.',
  })
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
