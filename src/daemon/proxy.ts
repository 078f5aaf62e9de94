/**
 * The proxy process: composes the proxy with the sockets that the supervisor holds, and gives up its privileges before
 * the first connection is accepted.
 *
 * The supervisor starts it with its configuration as JSON in the first argument and the listening sockets `http`,
 * `tunnel` and, where a certificate is configured, `https`. SIGHUP reads the certificate again if it still may.
 * SIGTERM: accept nothing more, let requests end, then exit.
 */

import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import path from 'node:path'

import { QuiverError } from '../core/error.ts'
import type { Certificate } from '../proxy/front.ts'
import { Proxy } from '../proxy/proxy.ts'
import { openStreams } from '../proxy/streams.ts'

import { compactHeap, storeCompiledCode } from './heap.ts'
import { dropPrivileges, type Identity } from './privileges.ts'
import { buildLog, untilTold } from './process.ts'
import { takeSockets } from './sockets.ts'

/** The first argument. */
export interface ProxyConfig extends Identity {
  /** The node's run folder, where `link.sock` is. */
  readonly run: string
  /** PEM files for the `https` socket; read before privileges are given up. Absent: no HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Addresses and networks that may say where a request came from. */
  readonly trusted?: readonly string[]
  /** From SIGTERM until what is still open is cut. Keep it below the supervisor's `stop_ms`. */
  readonly drainMs?: number
}

const DRAIN_MS = 8000
const log = buildLog('proxy')

async function main(): Promise<void> {
  const config = parseConfig(process.argv[2])
  const socket = takeSockets(process.env, process.pid)
  const { tls } = config
  const certificate = tls === undefined ? null : readCertificate(tls)
  const fds = { http: socket('http'), tunnel: socket('tunnel') }
  const httpsFd = certificate === null ? null : socket('https')
  storeCompiledCode()
  dropPrivileges(config)

  const proxy = new Proxy({
    linkPath: path.join(config.run, 'link.sock'),
    openStreams,
    trusted: config.trusted ?? [],
    log,
  })
  // What is told first is the whole truth: without it every request would be refused for want of a route.
  await proxy.ready(AbortSignal.timeout(READY_MS))
  compactHeap()
  listen(proxy.createServer(), fds.http)
  listen(proxy.createTunnel(), fds.tunnel)
  if (certificate !== null && httpsFd !== null) {
    const server = proxy.createSecureServer(certificate)
    listen(server, httpsFd)
    process.on('SIGHUP', () => {
      if (tls !== undefined) reload(server, tls)
    })
  }
  await untilTold()
  log('drains')
  await proxy.drain(AbortSignal.timeout(config.drainMs ?? DRAIN_MS))
}

/** Longer than control needs to come up; after that, answering that there is no route is better than silence. */
const READY_MS = 5000

function listen(server: Server, fd: number): void {
  server.on('error', (error) => {
    log(`cannot listen: ${error.message}`)
    process.exitCode = 1
  })
  server.listen({ fd })
}

function reload(
  server: { setSecureContext(certificate: Certificate): void },
  tls: { readonly key: string; readonly cert: string },
): void {
  try {
    server.setSecureContext(readCertificate(tls))
    log('certificate read again')
  } catch (thrown) {
    // The key may be readable by root alone: then the old one stays until a restart.
    log(`the certificate stays as it was: ${QuiverError.from(thrown).message}`)
  }
}

function readCertificate(tls: { readonly key: string; readonly cert: string }): Certificate {
  return { key: readFileSync(tls.key, 'utf8'), cert: readFileSync(tls.cert, 'utf8') }
}

/** @throws QuiverError `invalid_argument/CONFIG_INVALID` */
function parseConfig(text = '{}'): ProxyConfig {
  const value: unknown = JSON.parse(text)
  if (isConfig(value)) return value
  throw new QuiverError('invalid_argument', 'CONFIG_INVALID', `not a configuration: ${text}`)
}

function isConfig(value: unknown): value is ProxyConfig {
  if (typeof value !== 'object' || value === null) return false
  const { run, tls, trusted, groups, ...numbers }: Readonly<Record<string, unknown>> = { ...value }
  const isTlsValid =
    tls === undefined || (typeof tls === 'object' && tls !== null && 'key' in tls && 'cert' in tls)
  const areLists = [trusted, groups].every((list) => list === undefined || Array.isArray(list))
  const areNumbers = Object.values(numbers).every(Number.isSafeInteger)
  return typeof run === 'string' && isTlsValid && areLists && areNumbers
}

await main()
