/**
 * What a WebAssembly task notices of others in the same executor that do what they may not: the latency of its requests, which
 * leave on a schedule, with and without them; and what the same module notices in a sandbox of its own.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

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
const LOAD = { perSecond: 200, durationMs: 5000, warmUpMs: 500, isSpinning: false }
const NEIGHBOUR = 'neighbours'
const BOXED = 'neighbours-boxed'
const QUANTILES = [0.5, 0.99] as const

export async function run({ n = ROUNDS }: BenchOptions): Promise<void> {
  await requirePackage('wabt', '/usr/bin/wat2wasm')
  await using node = await BenchNode.start()
  await deployText(node, NEIGHBOUR, commandText('(call $say)'), `[scale]\n${ALWAYS_ON}\n`)
  await deployBoxed(node)
  for (const [name, { text, manifest }] of Object.entries(HOSTILE_GUESTS)) {
    await deployText(node, name, text, manifest)
    // Their first start is not what is measured.
    await requestOnce(node.target(name)).catch(() => {})
  }
  const tasks = [NEIGHBOUR, BOXED].map((task) => ({
    task,
    alone: new Rounds(),
    beside: new Rounds(),
  }))
  for (let round = 0; round < n; round++) {
    for (const { task, alone } of tasks) alone.add(await measure(node, task))
    const attack = new Attack(node)
    for (const { task, beside } of tasks) beside.add(await measure(node, task))
    await attack.stop()
  }
  for (const { task, alone, beside } of tasks) {
    for (const share of QUANTILES) {
      const name = `wasm.${task}.p${share * 100}`
      const [value, peerValue] = [beside.middle(share), alone.middle(share)]
      report({ name, value, unit: 'ms', n, peer: 'without them', peerValue })
    }
  }
}

class Rounds {
  readonly #rounds: (readonly number[])[] = []

  add(samples: readonly number[]): void {
    this.#rounds.push(samples)
  }

  /** Of the middle round: what else the machine does comes and goes. */
  middle(share: number): number {
    const each = this.#rounds.map((samples) => quantile(samples, share))
    return quantile(each, 0.5)
  }
}

/** What the machine alone takes away, when it is busy, a task in a process of its own loses too. */
async function deployBoxed(node: BenchNode): Promise<void> {
  const module = await compileText(commandText('(call $say)'), BOXED, node.processes.folder)
  const scale = `[scale]\n${ALWAYS_ON}\n`
  await deployModule(node.processes, module, BOXED, scale, '--isolation', 'sandbox')
}

async function deployText(node: BenchNode, name: string, text: string, more: string) {
  const module = await compileText(text, name, node.processes.folder)
  await deployModule(node.processes, module, name, more)
}

async function measure(node: BenchNode, task: string): Promise<readonly number[]> {
  const { samples, failed } = await generate(node.target(task), LOAD)
  if (failed > 0) throw new Error(`${failed} requests of ${task} failed`)
  say(`${task}: p99 ${quantile(samples, 0.99).toFixed(2)} ms`)
  return samples
}

/** Asks each hostile task again and again, from a process of its own. */
class Attack {
  readonly #process: ChildProcess

  constructor(node: BenchNode) {
    const targets = Object.keys(HOSTILE_GUESTS).map((name) => node.target(name))
    const program = path.join(import.meta.dirname, 'wasm', 'attack.ts')
    this.#process = spawn(process.execPath, [program, JSON.stringify(targets)], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }
}
