/**
 * What a WebAssembly task notices of others in the same executor that do what they may not: the latency of its requests, which
 * leave on a schedule, with and without them.
 */

import { compileText } from '../tests/fixtures/compile.ts'
import { HOSTILE_GUESTS } from '../tests/fixtures/wasm-hostile.ts'
import { commandText, deployModule } from '../tests/fixtures/wasm-node.ts'

import { requestOnce } from './http.ts'
import { quantile, report, say } from './measure.ts'
import { ALWAYS_ON, BenchNode } from './node.ts'
import { generate } from './open-loop.ts'
import { requirePackage } from './processes.ts'
import type { BenchOptions } from './suite.ts'

const ROUNDS = 5
const LOAD = { perSecond: 200, durationMs: 5000, warmUpMs: 500 }
const NEIGHBOUR = 'neighbour'
const QUANTILES = [0.5, 0.99] as const

export async function run({ n = ROUNDS }: BenchOptions): Promise<void> {
  await requirePackage('wabt', '/usr/bin/wat2wasm')
  await using node = await BenchNode.start()
  await deployText(node, NEIGHBOUR, commandText('(call $say)'), `[scale]\n${ALWAYS_ON}\n`)
  for (const [name, { text, manifest }] of Object.entries(HOSTILE_GUESTS)) {
    await deployText(node, name, text, manifest)
  }
  const alone: (readonly number[])[] = []
  const beside: (readonly number[])[] = []
  for (let round = 0; round < n; round++) {
    alone.push(await measure(node))
    const attack = new Attack(node)
    beside.push(await measure(node))
    await attack.stop()
  }
  // The middle round of each: what else the machine does comes and goes.
  for (const share of QUANTILES) {
    const [value, peerValue] = [beside, alone].map((rounds) =>
      quantile(
        rounds.map((samples) => quantile(samples, share)),
        0.5,
      ),
    )
    const name = `wasm.neighbours.p${share * 100}`
    report({
      name,
      value: value ?? 0,
      unit: 'ms',
      n,
      peer: 'without them',
      peerValue: peerValue ?? 0,
    })
  }
}

async function deployText(node: BenchNode, name: string, text: string, more: string) {
  const module = await compileText(text, name, node.processes.folder)
  await deployModule(node.processes, module, name, more)
}

async function measure(node: BenchNode): Promise<readonly number[]> {
  const { samples, failed } = await generate(node.target(NEIGHBOUR), LOAD)
  if (failed > 0) throw new Error(`${failed} requests of the neighbour failed`)
  say(`p99 ${quantile(samples, 0.99).toFixed(2)} ms`)
  return samples
}

/** Asks each hostile task again and again. */
class Attack {
  readonly #over = new AbortController()
  readonly #attackers: Promise<unknown>

  constructor(node: BenchNode) {
    const asking = Object.keys(HOSTILE_GUESTS).map(async (name) => {
      // However it is answered.
      while (!this.#over.signal.aborted) await requestOnce(node.target(name)).catch(() => {})
    })
    this.#attackers = Promise.all(asking)
  }

  async stop(): Promise<void> {
    this.#over.abort()
    await this.#attackers
  }
}
