/** `ainit bridge`: what is done with network namespaces, each time by a process of its own that ends. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { promisify } from 'node:util'

import { QuiverError } from '../../core/error.ts'

const run = promisify(execFile)
const TIMEOUT_MS = 10_000

/** What a switch is called in its namespace. */
export const SWITCH = 'bridge'

/** @returns what it printed. @throws Error with what it said */
export async function runBridge(ainitPath: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(ainitPath, ['bridge', ...args], { timeout: TIMEOUT_MS })
  return stdout
}

/**
 * A bridge in a network namespace where nothing else is.
 *
 * @returns a descriptor of the namespace, which goes with the last one
 * @throws QuiverError `failed_precondition/START_FAILED`
 */
export async function makeSwitch(ainitPath: string): Promise<number> {
  const child = spawn(ainitPath, ['bridge', 'make', SWITCH], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  })
  const closed = once(child, 'close')
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += String(chunk)
  })
  child.stdin.on('error', () => {})
  try {
    // Without a word it has ended, and the namespace with it.
    const isMade = await Promise.race([
      once(child.stdout, 'data').then(() => true),
      closed.then(() => false),
    ])
    if (!isMade) throw new Error(said.trim())
    return openSync(`/proc/${child.pid}/ns/net`, 'r')
  } catch (cause) {
    throw failure(cause)
  } finally {
    child.stdin.end()
    await closed
  }
}

export function closeSwitch(descriptor: number): void {
  closeSync(descriptor)
}

function failure(cause: unknown): QuiverError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `a switch for instances could not be made: ${why}`
  return new QuiverError('failed_precondition', 'START_FAILED', message, {
    cause,
    hint: 'The kernel must have bridges and virtual Ethernet devices (CONFIG_BRIDGE, CONFIG_VETH).',
  })
}
