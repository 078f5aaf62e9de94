/** What goes through the channel of a machine, beside the same application in the sandbox: requests, and bytes. */

import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import path from 'node:path'

import { report } from '../measure.ts'
import { ALWAYS_ON, type BenchNode } from '../node.ts'
import { measureThroughput, requirePackage } from '../processes.ts'

import type { Guests } from './nodes.ts'

const CONNECTIONS = 8
const SECONDS = 4
const ROUNDS = 3
const BODY_BYTES = 16 * 1024 * 1024
const MIB = 1024 * 1024

export async function measureChannel(node: BenchNode, machine: Guests): Promise<void> {
  await requirePackage('wrk', '/usr/bin/wrk')
  await node.deployExample('static-c', ALWAYS_ON, 'channel-box')
  await node.deployExample('static-c', ALWAYS_ON, 'channel-vm', '--isolation', 'microvm')
  const folder = await writeDownload(node)
  await node.processes.ok('deploy', folder, '--name', 'download-box')
  await node.processes.ok('deploy', folder, '--name', 'download-vm', '--isolation', 'microvm')

  const [requests, bytes] = [
    await inTurn((where) => requestsPerSecond(node, `channel-${where}`)),
    await inTurn((where) => bytesPerSecond(node, `download-${where}`)),
  ]
  const peer = 'sandbox'
  report({
    name: 'microvm.channel.rps',
    value: requests.vm,
    unit: 'req/s',
    n: ROUNDS,
    peer,
    peerValue: requests.box,
    machine,
  })
  report({
    name: 'microvm.channel.bandwidth',
    value: bytes.vm / MIB,
    unit: 'MiB/s',
    n: ROUNDS,
    peer,
    peerValue: bytes.box / MIB,
    machine,
  })
}

/** The best of some rounds, of the one and the other in turn. */
async function inTurn(
  measure: (where: 'vm' | 'box') => Promise<number>,
): Promise<Readonly<Record<'vm' | 'box', number>>> {
  let [vm, box] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    box = Math.max(box, await measure('box'))
    vm = Math.max(vm, await measure('vm'))
  }
  return { vm, box }
}

async function requestsPerSecond(node: BenchNode, task: string): Promise<number> {
  await node.request(task)
  return (await measureThroughput(node.target(task), CONNECTIONS, SECONDS)).perSecond
}

async function bytesPerSecond(node: BenchNode, task: string): Promise<number> {
  await node.request(task)
  const { port, host } = node.target(task)
  const startMs = performance.now()
  const request = get({ host: '127.0.0.1', port, path: '/body', headers: { host }, agent: false })
  const [answer]: IncomingMessage[] = await once(request, 'response')
  let bytes = 0
  for await (const chunk of answer ?? []) bytes += chunk.length
  if (bytes !== BODY_BYTES)
    throw new Error(`${task} answered ${answer?.statusCode}, ${bytes} bytes`)
  return bytes / ((performance.now() - startMs) / 1000)
}

/** A web server with one large file. */
async function writeDownload(node: BenchNode): Promise<string> {
  const folder = await node.processes.writeFiles({
    'quiver.toml': `name = "download"
runtime = "busybox"
argv0 = "httpd"
command = ["-f", "-p", "8080", "-h", "/app/www"]
[http]
port = 8080
[scale]
${ALWAYS_ON}
`,
    'www/index.html': 'here\n',
  })
  const body = await open(path.join(folder, 'www/body'), 'w')
  await body.truncate(BODY_BYTES)
  await body.close()
  return folder
}
