/**
 * Connections to other tasks. The proxy's tunnel takes them, because it is the proxy that wakes tasks and shares
 * requests out among instances; see docs/internals/link.md.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import type { GrantTarget } from '../core/link.ts'

type TaskTarget = GrantTarget & { readonly kind: 'task' }

/**
 * @param path    of the proxy's tunnel socket
 * @param from    the task that connects
 * @param signal  its reason is thrown when it is aborted first
 * @returns       a connected socket that may be half-open; the proxy knows by now where it leads
 * @throws        the system's error, such as `ECONNREFUSED` when no proxy listens
 */
export async function openTunnel(
  path: string,
  target: TaskTarget,
  from: string,
  signal: AbortSignal,
): Promise<Socket> {
  const tunnel = connect({ path, allowHalfOpen: true })
  try {
    await once(tunnel, 'connect', { signal })
  } catch (thrown) {
    tunnel.destroy()
    throw signal.aborted ? signal.reason : thrown
  }
  tunnel.on('error', () => {})
  tunnel.write(buildPreamble(target, from))
  return tunnel
}

/** The first line: where the connection leads. */
function buildPreamble({ protocol, task, port }: TaskTarget, from: string): string {
  return protocol === 'http' ? `http ${task} ${from}\n` : `tcp ${task} ${port}\n`
}
