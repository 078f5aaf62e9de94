/**
 * Components: what a fresh instance for each request costs with a JavaScript engine inside (componentize-js, 13 MB), what ways
 * to make one ahead would save, and the same through a node.
 */

import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ComponentInstance } from '../src/executor/component/instance.ts'
import type { LiftPlan } from '../src/executor/component/plan.ts'
import {
  liftedFunction,
  prepareComponent,
  type PreparedComponent,
} from '../src/executor/component/prepare.ts'
import { ComponentProgram, type MemorySource } from '../src/executor/component/program.ts'
import { Exchange } from '../src/executor/http/exchange.ts'
import { RequestBody } from '../src/executor/http/request-body.ts'
import { RequestHead } from '../src/executor/http/request-head.ts'
import { detectKind, readModule } from '../src/executor/module.ts'
import { Memories } from '../src/executor/run/memories.ts'
import { IncomingRequest, ResponseOutparam } from '../src/executor/wasi02/http-server.ts'
import { findHostFunction } from '../src/executor/wasi02/interfaces.ts'
import { World } from '../src/executor/wasi02/world.ts'
import { componentizeScript, requireToolchains } from '../tests/fixtures/component-toolchains.ts'
import { deployModule } from '../tests/fixtures/wasm-node.ts'

import { requestOnce } from './http.ts'
import { report, reportDurations } from './measure.ts'
import { ALWAYS_ON, BenchNode } from './node.ts'
import { measureThroughput, requirePackage } from './processes.ts'
import type { BenchOptions } from './suite.ts'

const REQUESTS = 300
const PAUSE_MS = 10
const CONNECTIONS = 16
const THROUGHPUT_S = 5
const MIB = 1024 * 1024
const LIMITS = { memoryBytesMax: 256 * MIB, tableElementsMax: 1_000_000 }
const UNWATCHED = { turns: null, count: () => null }
const TASK = 'component'
const SCRIPT = path.join(import.meta.dirname, '..', 'tests', 'e2e', 'guests', 'component.js')

export async function run({ n = REQUESTS }: BenchOptions): Promise<void> {
  await requirePackage('wrk', '/usr/bin/wrk')
  const missing = await requireToolchains()
  if (missing !== undefined) throw new Error(missing)
  const file = await componentizeScript(SCRIPT)
  await measureWays(Uint8Array.from(await readFile(file)), n)
  await measureNode(file, n)
}

/** The component in this process, without a connection. */
class Bench {
  readonly program: ComponentProgram<World>
  readonly #entry: LiftPlan

  private constructor(program: ComponentProgram<World>, entry: LiftPlan) {
    this.program = program
    this.#entry = entry
  }

  /** @param isKept  memories are cleared and used again */
  static async prepare(bytes: Uint8Array<ArrayBuffer>, isKept: boolean): Promise<Bench> {
    const kind = detectKind(readModule(bytes))
    if (kind.kind !== 'component') throw new Error('the guest is no component')
    const startMs = performance.now()
    const prepared = await prepareComponent(bytes, kind, LIMITS)
    const value = performance.now() - startMs
    if (isKept) report({ name: 'wasm-component.prepare', value, unit: 'ms', n: 1 })
    const kept = isKept ? prepared.given.map((size) => size && new Memories(size)) : fresh(prepared)
    const program = new ComponentProgram(prepared, kept, findHostFunction)
    return new Bench(program, liftedFunction(prepared.plan, kind))
  }

  instantiate(): ComponentInstance<World> {
    const silent = { write: () => {} }
    const world = new World({
      args: [],
      env: {},
      stdin: { read: () => null },
      stdout: silent,
      stderr: silent,
      filesMax: 16,
      answerBytesMax: MIB,
      log: () => {},
    })
    return this.program.instantiate(world, UNWATCHED)
  }

  /** An instance for one request alone. */
  async once(): Promise<void> {
    const instance = this.instantiate()
    await this.answer(instance)
    instance.close()
  }

  async answer(instance: ComponentInstance<World>): Promise<void> {
    const head = new RequestHead('GET / HTTP/1.1\r\nHost: component.localhost')
    const body = new RequestBody({ pause: () => {}, resume: () => {} }, 0)
    const sink = { write: () => true, drained: async () => {}, finish: () => {} }
    const exchange = new Exchange(head, body, sink)
    await instance.call(this.#entry, [
      new IncomingRequest(exchange),
      new ResponseOutparam(exchange),
    ])
    if (!exchange.isOver) throw new Error('the guest did not answer')
  }
}

/** A new memory each time, as modules make their own. */
function fresh({ given }: PreparedComponent): readonly (MemorySource | null)[] {
  return given.map(
    (size) => size && { take: () => new WebAssembly.Memory(size), give: () => undefined },
  )
}

async function measureWays(bytes: Uint8Array<ArrayBuffer>, n: number): Promise<void> {
  const unkept = await Bench.prepare(bytes, false)
  const bench = await Bench.prepare(bytes, true)
  const mapped = await sample(n, async () => await unkept.once())
  reportDurations('wasm-component.new-memory', mapped)
  const cleared = await sample(n, async () => await bench.once())
  const peer = { name: 'with a new memory', samples: mapped }
  reportDurations('wasm-component.kept-memory', cleared, peer)
  const ahead: ComponentInstance<World>[] = []
  const ready = await sample(
    n,
    async () => {
      const instance = ahead.pop() ?? bench.instantiate()
      await bench.answer(instance)
      setImmediate(() => instance.close())
    },
    () => void ahead.push(bench.instantiate()),
  )
  reportDurations('wasm-component.ahead', ready, peer)
  const [memory] = bench.instantiate().memories
  if (memory === undefined) throw new Error('the guest exports no memory')
  const image = new Uint8Array(memory.buffer.slice(0))
  const target = new WebAssembly.Memory({ initial: image.length / 65_536 })
  const copied = await sample(n, async () => new Uint8Array(target.buffer).set(image))
  reportDurations('wasm-component.image-copy', copied)
  report({ name: 'wasm-component.memory', value: image.length / MIB, unit: 'MiB', n: 1 })
}

/** Milliseconds of each; collections of garbage fall into the pauses as far as they can. */
async function sample(
  n: number,
  work: () => Promise<void>,
  prepare: () => void = () => {},
): Promise<readonly number[]> {
  const samples: number[] = []
  for (let index = -n / 10; index < n; index++) {
    prepare()
    await sleep(1)
    const startMs = performance.now()
    await work()
    if (index >= 0) samples.push(performance.now() - startMs)
  }
  return samples
}

async function measureNode(file: string, n: number): Promise<void> {
  await using node = await BenchNode.start()
  const scale = `[scale]\n${ALWAYS_ON}\nmax = 1\nconcurrency = 64\n`
  await deployModule(node.processes, file, TASK, `[limits]\nmemory = "1GiB"\n${scale}`)
  const firstMs = (await requestOnce(node.target(TASK))).ms
  report({ name: 'wasm-component.first', value: firstMs, unit: 'ms', n: 1 })
  const samples: number[] = []
  for (let index = 0; index < n; index++) {
    await sleep(PAUSE_MS)
    const { status, ms } = await requestOnce(node.target(TASK))
    if (status !== 200) throw new Error(`the component answered ${status}`)
    samples.push(ms)
  }
  reportDurations('wasm-component.request', samples)
  const { perSecond, p99Ms } = await measureThroughput(node.target(TASK), CONNECTIONS, THROUGHPUT_S)
  report({ name: 'wasm-component.rps', value: perSecond, unit: 'req/s', n: 1 })
  report({ name: 'wasm-component.p99', value: p99Ms, unit: 'ms', n: 1 })
}
