/**
 * WebAssembly with a fresh instance for each request: throughput beside workerd, Deno and Bun that do the same with the same
 * module, the way from a deployment to the first answer, and what modules cost that nobody asks for.
 */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { importMemory, limitModule } from '../src/executor/module.ts'
import { NO_OUTSIDE, type ModulePlan } from '../src/executor/protocol.ts'
import { ModuleBinding } from '../src/executor/run/binding.ts'

import { freePort, requestOnce, type Target } from './http.ts'
import { quantile, report, reportDurations, say } from './measure.ts'
import { ALWAYS_ON, BenchNode, memoryBytes, processTree } from './node.ts'
import { capture, measureThroughput, requirePackage, startServer } from './processes.ts'
import type { BenchOptions } from './suite.ts'
import { BUN, DENO, install, startPeer, WORKERD, writePeer } from './wasm/peers.ts'

const CONNECTIONS = 64
const THROUGHPUT_S = 5
const ROUNDS = 3
const FIRSTS = 50
const RESTARTS = 10
const IDLE_MODULES = 1000
const INSTANTIATIONS = 5000
const MIB = 1024 * 1024
const WAT = path.join(import.meta.dirname, 'wasm', 'hello.wat')
const TASK = 'wasm-hello'

export async function run({ n = ROUNDS }: BenchOptions): Promise<void> {
  await requirePackage('wabt', '/usr/bin/wat2wasm')
  await requirePackage('wrk', '/usr/bin/wrk')
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-bench-'))
  try {
    const module = path.join(folder, 'hello.wasm')
    await capture('wat2wasm', WAT, '-o', module)
    await measureInstantiation(folder)
    await measureHello(module, folder, n)
    await measureFirsts(module)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function local(port: number): Target {
  return { port, host: 'localhost' }
}

/** The best round: what else runs on the machine can only take away. */
class Best {
  perSecond = 0
  p99Ms = Number.POSITIVE_INFINITY

  async take(target: Target): Promise<void> {
    const { perSecond, p99Ms } = await measureThroughput(target, CONNECTIONS, THROUGHPUT_S)
    this.perSecond = Math.max(this.perSecond, perSecond)
    this.p99Ms = Math.min(this.p99Ms, p99Ms)
  }
}

async function measureHello(module: string, folder: string, n: number): Promise<void> {
  await using node = await BenchNode.start()
  await deployModule(node, module, TASK)
  await deployWorkerd(node, module)
  const names = ['proxied', 'direct', 'workerd', 'workerdProxied', 'deno', 'bun'] as const
  const best = Object.fromEntries(names.map((name) => [name, new Best()]))
  for (let round = 0; round < n; round++) {
    await best['proxied']?.take(node.target(TASK))
    await best['workerdProxied']?.take(node.target('workerd'))
    await using executor = await startExecutor(module)
    await best['direct']?.take(local(executor.port))
    for (const [name, program] of [
      ['workerd', WORKERD],
      ['deno', DENO],
      ['bun', BUN],
    ] as const) {
      await using peer = await startPeer(program, module, folder)
      await best[name]?.take(local(peer.port))
    }
  }
  const rate = (name: string, value: Best | undefined, peer: string, other: Best | undefined) => {
    const figure = { name, value: value?.perSecond ?? 0, unit: 'req/s', n } as const
    report({ ...figure, peer, peerValue: other?.perSecond ?? 0 })
  }
  const { proxied, direct, workerd, workerdProxied, deno, bun } = best
  rate('wasm.hello.rps', proxied, 'workerd alone', workerd)
  rate('wasm.hello-both-proxied.rps', proxied, 'workerd behind the same proxy', workerdProxied)
  rate('wasm.hello-direct.rps', direct, 'workerd', workerd)
  rate('wasm.hello-direct-deno.rps', direct, 'deno', deno)
  rate('wasm.hello-direct-bun.rps', direct, 'bun', bun)
  const value = proxied?.p99Ms ?? 0
  const peerValue = workerd?.p99Ms ?? 0
  report({ name: 'wasm.hello.p99', value, unit: 'ms', n, peer: 'workerd alone', peerValue })
}

async function deployModule(node: BenchNode, module: string, name: string): Promise<string> {
  const folder = await mkdtemp(path.join(node.processes.folder, 'app-'))
  await writeFile(path.join(folder, 'hello.wasm'), await readFile(module))
  const scale = `[scale]\n${ALWAYS_ON}\nmax = 2\nconcurrency = 64\n`
  const manifest = `name = "${name}"\nfile = "hello.wasm"\n\n[http]\n\n${scale}`
  await writeFile(path.join(folder, 'quiver.toml'), manifest)
  await node.processes.ok('deploy', folder)
  return folder
}

async function deployWorkerd(node: BenchNode, module: string): Promise<void> {
  const folder = path.join(node.processes.folder, 'app-workerd')
  const port = 8080
  await writePeer(WORKERD, module, folder, port)
  const program = await readFile(await install(WORKERD))
  await writeFile(path.join(folder, 'workerd'), program, { mode: 0o755 })
  const command = JSON.stringify(WORKERD.args)
  const settings = `[scale]\n${ALWAYS_ON}\nmax = 1\nconcurrency = 1000\n\n[limits]\nmemory = "1GiB"\n`
  const manifest = `name = "workerd"\nfile = "./workerd"\ncommand = ${command}\n\n[http]\nport = ${port}\n\n${settings}`
  await writeFile(path.join(folder, 'quiver.toml'), manifest)
  await node.processes.ok('deploy', folder)
  const { status } = await node.request('workerd')
  if (status !== 200) throw new Error(`workerd in the sandbox answered ${status}`)
}

/** The program that runs modules, without a node around it. */
async function startExecutor(module: string) {
  const port = await freePort()
  const plan: ModulePlan = {
    task: TASK,
    args: [],
    argv0: TASK,
    env: {},
    stdout: 'cgi',
    entry: null,
    isReused: false,
    outside: NO_OUTSIDE,
    script: null,
    limits: {
      memoryBytes: 64 * MIB,
      cpuTimeMs: 10_000,
      cpuMillis: null,
      requestTimeoutMs: 60_000,
      outputBytes: MIB,
      inputBytes: MIB,
      files: 64,
      hostCalls: 1e9,
    },
  }
  const argument = JSON.stringify({ module: plan, port, path: module, script: null })
  const main = path.join(import.meta.dirname, '..', 'src', 'executor', 'main.ts')
  const server = await startServer(port, [process.execPath, main, 'serve', argument])
  return { port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** A module of 1 MiB that is compiled already, and the same by the engine alone. */
async function measureInstantiation(folder: string): Promise<void> {
  const file = path.join(folder, 'large.wasm')
  await writeFile(`${file}.wat`, largeModule())
  await capture('wat2wasm', `${file}.wat`, '-o', file)
  const bytes = Uint8Array.from(await readFile(file))
  say(`a module of ${(bytes.length / MIB).toFixed(2)} MiB`)
  const limited = limitModule(bytes, { memoryBytesMax: 64 * MIB, tableElementsMax: 1000 })
  const { bytes: given, memory } = importMemory(Uint8Array.from(limited), 16)
  const binding = new ModuleBinding(new WebAssembly.Module(given), memory, [])
  const ours = await timeEach(() => {
    const instance = binding.instantiate(null, null)
    instance.call('handle')
    instance.end()
  })
  const module = new WebAssembly.Module(bytes)
  const bare = await timeEach(() => {
    const { handle } = new WebAssembly.Instance(module).exports
    if (typeof handle === 'function') handle()
  })
  reportDurations('wasm.instantiate', ours, { name: 'bare WebAssembly.Instance', samples: bare })
}

function largeModule(): string {
  const body = Array.from(
    { length: 40 },
    (_, index) => `(local.set 0 (i32.add (local.get 0) (i32.const ${index + 1000})))`,
  )
  const functions = Array.from(
    { length: 3000 },
    () => `(func (param i32) (result i32) ${body.join('')} (local.get 0))`,
  )
  return `(module (memory (export "memory") 2) ${functions.join('\n')} (func (export "handle") (drop (call 7 (i32.const 1)))))`
}

async function timeEach(work: () => void): Promise<readonly number[]> {
  const samples: number[] = []
  for (let index = -INSTANTIATIONS / 10; index < INSTANTIATIONS; index++) {
    const startMs = performance.now()
    work()
    if (index >= 0) samples.push(performance.now() - startMs)
    // As between requests: the engine gets its turn.
    if (index % 100 === 0) await new Promise(setImmediate)
  }
  return samples
}

async function measureFirsts(module: string): Promise<void> {
  await using node = await BenchNode.start()
  const folder = await deployModule(node, module, 'first')
  await node.request('first')
  const firsts: number[] = []
  for (let index = 0; index < FIRSTS; index++) {
    await node.processes.ok('deploy', folder, '--name', `first-${index}`)
    const { status, ms } = await node.request(`first-${index}`)
    if (status !== 200) throw new Error(`first-${index} answered ${status}`)
    firsts.push(ms)
  }
  reportDurations('wasm.first', firsts)
  await measureIdle(node)
  const restarts: number[] = []
  for (let index = 0; index < RESTARTS; index++) {
    await node.restart()
    const { status, ms } = await requestOnce(node.target('first'))
    if (status !== 200) throw new Error(`it answered ${status} after a restart`)
    restarts.push(ms)
  }
  report({ name: 'wasm.restart.p50', value: quantile(restarts, 0.5), unit: 'ms', n: RESTARTS })
}

/** What deployed modules cost the executors as long as nobody asks for them. */
async function measureIdle(node: BenchNode): Promise<void> {
  const before = await executorMemory(node)
  const { image } = await node.describe('first')
  for (let index = 0; index < IDLE_MODULES; index++) await node.deployAs(`idle-${index}`, image)
  const value = (await executorMemory(node)) - before
  report({ name: 'wasm.idle.pss', value, unit: 'MiB', n: IDLE_MODULES })
}

/** Of all executors of the node together, in MiB: the programs below control that are Node.js. */
async function executorMemory(node: BenchNode): Promise<number> {
  const control = await node.processes.pid('control')
  const below = (await processTree(control)).filter(({ pid }) => pid !== control)
  const executors = below.filter(({ command }) => command.startsWith('node'))
  return (await memoryBytes(executors.map(({ pid }) => pid))) / MIB
}
