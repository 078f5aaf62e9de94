/**
 * What the proxy costs a request to a running instance: added latency at a steady rate, and throughput on one core.
 *
 * Proxy and upstream share core 0, the generator has core 1. The peers do the same work in the same run: the upstream
 * alone, and HAProxy with one thread before it.
 */

import { writeFile } from 'node:fs/promises'
import path from 'node:path'

import { freePort, type Target } from './http.ts'
import { quantile, report, say } from './measure.ts'
import { ALWAYS_ON, BenchNode, processTree } from './node.ts'
import { generate, type Load } from './open-loop.ts'
import { measureThroughput, pin, requirePackage, startPinned } from './processes.ts'
import type { BenchOptions } from './suite.ts'

const TASK = 'static-c'
const SERVER_CORE = 0
const GENERATOR_CORE = 1
/** Runs what follows on the generator's core. */
const GENERATOR = ['taskset', '-c', String(GENERATOR_CORE)]
const CONNECTIONS = 32
const THROUGHPUT_S = 5
const LOAD: Load = { perSecond: 1000, durationMs: 5000, warmUpMs: 1000 }
const ROUNDS = 5

interface Targets {
  readonly proxy: Target
  readonly direct: Target
  readonly haproxy: Target
}

export async function run({ n = ROUNDS }: BenchOptions): Promise<void> {
  await requirePackage('haproxy', '/usr/sbin/haproxy')
  await requirePackage('wrk', '/usr/bin/wrk')
  await using node = await BenchNode.start()
  const folder = await node.deployExample(TASK, ALWAYS_ON)
  await node.request(TASK)
  for (const name of ['proxy', 'control'] as const) {
    const tree = await processTree(await node.processes.pid(name))
    for (const { pid } of tree) await pin(pid, SERVER_CORE)
  }

  const [directPort, haproxyPort] = [await freePort(), await freePort()]
  const server = [path.join(folder, 'server')]
  await using servers = new AsyncDisposableStack()
  const env = { PORT: String(directPort) }
  servers.use(await startPinned(SERVER_CORE, directPort, server, env))
  const configuration = path.join(folder, 'haproxy.cfg')
  await writeFile(configuration, haproxyConfiguration(haproxyPort, directPort))
  const haproxy = ['/usr/sbin/haproxy', '-db', '-q', '-f', configuration]
  servers.use(await startPinned(SERVER_CORE, haproxyPort, haproxy))
  const targets = {
    proxy: node.target(TASK),
    direct: { port: directPort, host: 'localhost' },
    haproxy: { port: haproxyPort, host: 'localhost' },
  }
  await compareThroughput(targets, n)
  await pin(process.pid, GENERATOR_CORE)
  await measureLatency(targets, n)
}

async function compareThroughput(targets: Targets, rounds: number): Promise<void> {
  const rates = { proxy: [0], direct: [0], haproxy: [0] }
  for (let round = 0; round < rounds; round++) {
    for (const name of ['proxy', 'haproxy', 'direct'] as const) {
      const { perSecond } = await measureThroughput(
        targets[name],
        CONNECTIONS,
        THROUGHPUT_S,
        GENERATOR,
      )
      rates[name].push(perSecond)
    }
  }
  const name = 'proxy.throughput.rps'
  const value = best(rates.proxy)
  const figure = { name, value, unit: 'req/s', n: rounds } as const
  report({ ...figure, peer: 'haproxy, one thread', peerValue: best(rates.haproxy) })
  report({
    ...figure,
    name: 'proxy.throughput-direct.rps',
    peer: 'direct connection',
    peerValue: best(rates.direct),
  })
}

/** The best round: what else runs on the machine can only take away. */
function best(rates: readonly number[]): number {
  return Math.max(...rates)
}

/** The three take turns, and what is compared was measured within seconds: the median of the rounds' differences. */
async function measureLatency(targets: Targets, rounds: number): Promise<void> {
  const added = { proxy: new Added(), haproxy: new Added() }
  for (let round = 0; round < rounds; round++) {
    const direct = await measureOne('direct', targets.direct)
    added.proxy.push(await measureOne('proxy', targets.proxy), direct)
    added.haproxy.push(await measureOne('haproxy', targets.haproxy), direct)
  }
  const n = rounds * ((LOAD.perSecond * LOAD.durationMs) / 1000)
  for (const statistic of ['p50', 'p99'] as const) {
    report({
      name: `proxy.added.${statistic}`,
      value: quantile(added.proxy[statistic], 0.5),
      unit: 'ms',
      n,
      peer: 'haproxy, one thread',
      peerValue: quantile(added.haproxy[statistic], 0.5),
    })
  }
}

/** Differences to the direct connection, one a round. */
class Added {
  readonly p50: number[] = []
  readonly p99: number[] = []

  push(through: readonly number[], direct: readonly number[]): void {
    this.p50.push(quantile(through, 0.5) - quantile(direct, 0.5))
    this.p99.push(quantile(through, 0.99) - quantile(direct, 0.99))
  }
}

async function measureOne(name: string, target: Target): Promise<readonly number[]> {
  const { samples, failed } = await generate(target, LOAD)
  if (failed > 0) say(`${name}: ${failed} requests failed`)
  return samples
}

function haproxyConfiguration(port: number, upstream: number): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server one 127.0.0.1:${upstream}
`
}
