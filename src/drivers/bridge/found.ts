/** The switch that an earlier control process made: whoever is connected to it has it open. */

import { openSync, readlinkSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

/** What PID 1 of an instance has open, as in native/ainit/protocol.h. */
const LOCK = 7
const SWITCH = 19

/**
 * @param folders  of instances that are connected
 * @returns a descriptor of its network namespace; undefined when none of them lives any more
 */
export async function findSwitch(folders: readonly string[]): Promise<number | undefined> {
  const locks = new Set(
    await Promise.all(folders.map((folder) => identify(path.join(folder, 'lock')))),
  )
  locks.delete(undefined)
  if (locks.size === 0) return undefined
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    // The lock of an instance is held by its own processes alone.
    const lock = await identify(`/proc/${pid}/fd/${LOCK}`)
    if (lock === undefined || !locks.has(lock)) continue
    const opened = open(`/proc/${pid}/fd/${SWITCH}`)
    if (opened !== undefined) return opened
  }
  return undefined
}

async function identify(file: string): Promise<string | undefined> {
  return await stat(file).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  )
}

function open(file: string): number | undefined {
  try {
    return readlinkSync(file).startsWith('net:') ? openSync(file, 'r') : undefined
  } catch {
    return undefined
  }
}
