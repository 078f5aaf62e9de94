/** Whether the addresses that a node is to listen on can be had. */

import { createServer } from 'node:net'

import { formatListenAddress, type ListenAddress } from '../../config/address.ts'
import type { NodeConfig } from '../../config/node.ts'
import { errnoOf } from '../../core/error.ts'

import { finding } from './finding.ts'
import type { Finding } from './finding.ts'

/** What would go wrong, by the errno of bind(2), and what to do about it but to choose another. */
const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another program listens there ("ss -lntp" names it): stop it',
  EADDRNOTAVAIL: 'This machine has no such address ("ip address" shows those it has): correct it',
  EACCES: 'Ports below 1024 need root: run the node as root',
}

/** One finding for each listener that is configured; none for those that are off. */
export async function checkPorts({ listen }: NodeConfig): Promise<readonly Finding[]> {
  const findings = Object.entries(listen).map(async ([name, address]) => {
    return address === null ? [] : [await checkPort(name, address)]
  })
  return (await Promise.all(findings)).flat()
}

async function checkPort(name: string, address: ListenAddress): Promise<Finding> {
  const errno = await tryToListen(address)
  const what =
    errno === undefined ? '' : (REMEDIES[errno] ?? `It cannot be had (${errno}): free it`)
  return finding(`${name} on ${formatListenAddress(address)}`, errno === undefined, {
    isRequired: false,
    remedy: `${what}, or choose another with "quiver up --listen-${name} ADDRESS" or in node.toml.`,
  })
}

/** Errno, or undefined when it can be had. */
async function tryToListen({ address, port }: ListenAddress): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const server = createServer()
  server.once('error', (error) => resolve(errnoOf(error) ?? 'unknown'))
  server.listen(port, address, () => server.close(() => resolve(undefined)))
  return promise
}
