/**
 * The egress process: composes the relay, the link to control and the system's resolver, and gives up its privileges
 * before the first connection is accepted.
 *
 * The supervisor starts it with its configuration as JSON in the first argument and the listening sockets `egress` and (for executors of WebAssembly) `executors`.
 * SIGTERM: accept nothing more, let open connections end, then exit.
 */

import path from 'node:path'

import { QuiverError } from '../core/error.ts'
import type { FromEgress, ToEgress } from '../core/link.ts'
import { Egress } from '../egress/egress.ts'
import { parseToEgress } from '../egress/message.ts'
import { buildSystemResolver } from '../egress/resolve.ts'
import { openLinkClient } from '../link/client.ts'

import { compactHeap, storeCompiledCode } from './heap.ts'
import { dropPrivileges, type Identity } from './privileges.ts'
import { buildLog, untilTold } from './process.ts'
import { takeSockets } from './sockets.ts'

/** The first argument. */
export interface EgressConfig extends Identity {
  /** The node's run folder, where `link.sock` and `tunnel.sock` are. */
  readonly run: string
  /** From SIGTERM until what is still open is cut. Keep it below the supervisor's `stop_ms`. */
  readonly drainMs?: number
}

const DRAIN_MS = 8000
const log = buildLog('egress')

async function main(): Promise<void> {
  const config = parseConfig(process.argv[2])
  const socket = takeSockets(process.env, process.pid)
  const listener = socket('egress')
  const executors = findSocket(socket, 'executors')
  storeCompiledCode()
  dropPrivileges(config)

  await using egress = new Egress({
    listener,
    ...(executors === undefined ? {} : { executorListener: executors }),
    tunnelPath: path.join(config.run, 'tunnel.sock'),
    resolver: buildSystemResolver(),
    send: (message) => link.send(message),
    log,
  })
  await using link = openLinkClient<ToEgress, FromEgress>({
    path: path.join(config.run, 'link.sock'),
    hello: { type: 'hello', role: 'egress', pid: process.pid },
    parse: parseToEgress,
    onMessage: (message) => egress.apply(message),
    onProblem: (problem) => log(`link to control: ${problem.message}`),
  })

  compactHeap()
  await untilTold()
  await egress.drain(AbortSignal.timeout(config.drainMs ?? DRAIN_MS))
  const { opened, denied, failed } = egress.counters
  log(`ends after ${opened} connections, ${denied} denied, ${failed} failed`)
}

/** A supervisor of an earlier version, which has none for executors, is no reason to leave all instances without. */
function findSocket(socket: (name: string) => number, name: string): number | undefined {
  try {
    return socket(name)
  } catch {
    return undefined
  }
}

/** @throws QuiverError `invalid_argument/CONFIG_INVALID` */
function parseConfig(text = '{}'): EgressConfig {
  const value: unknown = JSON.parse(text)
  if (isConfig(value)) return value
  throw new QuiverError('invalid_argument', 'CONFIG_INVALID', `not a configuration: ${text}`)
}

function isConfig(value: unknown): value is EgressConfig {
  if (typeof value !== 'object' || value === null) return false
  const { run, ...numbers }: Readonly<Record<string, unknown>> = { ...value }
  return typeof run === 'string' && Object.values(numbers).every(Number.isSafeInteger)
}

await main()
