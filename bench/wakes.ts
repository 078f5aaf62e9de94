/** Requests across many stops: each cycle wakes the task, then asks again around the moment at which it is stopped. */

import { setTimeout as delay } from 'node:timers/promises'

import { report, reportDurations, say } from './measure.ts'
import { BenchNode } from './node.ts'
import type { BenchOptions } from './suite.ts'

const CYCLES = 1000
const TASK = 'static-c'
const STOP_AFTER_MS = 40
/** Clients that ask on their own schedule; few enough that the task is left alone long enough to be stopped. */
const CLIENTS = 2
/** A pause between two requests of a client is random between these shares of `stop_after`. */
const PAUSE_SHARES = [0.9, 2.6] as const
/** More requests than this without enough stops means that it is never stopped. */
const REQUESTS_MAX_PER_CYCLE = 50

export async function run({ n = CYCLES }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  await node.deployExample(TASK, `pause_after = "never"\nstop_after = "${STOP_AFTER_MS}ms"`)
  const times: number[] = []
  const failures = new Map<number, number>()
  const isDone = { value: false }
  const clients = Array.from({ length: CLIENTS }, () => ask(node, isDone, times, failures))
  const cycles = await untilCycles(node, n, () => times.length)
  isDone.value = true
  await Promise.all(clients)

  const lost = failures.values().reduce((sum, count) => sum + count, 0)
  for (const [status, count] of failures) say(`status ${status}: ${count}`)
  report({ name: 'wakes.lost.count', value: lost, unit: 'count', n: times.length })
  report({ name: 'wakes.cycles.count', value: cycles, unit: 'count', n: 1 })
  reportDurations('wakes.answer', times)
}

async function ask(
  node: BenchNode,
  isDone: { readonly value: boolean },
  times: number[],
  failures: Map<number, number>,
): Promise<void> {
  const [least, most] = PAUSE_SHARES
  while (!isDone.value) {
    const { status, ms } = await node.request(TASK)
    times.push(ms)
    if (status !== 200) failures.set(status, (failures.get(status) ?? 0) + 1)
    await delay(STOP_AFTER_MS * (least + Math.random() * (most - least)))
  }
}

/** Resolves when so many instances have started and ended. */
async function untilCycles(node: BenchNode, n: number, requests: () => number): Promise<number> {
  const ended = new Set<string>()
  while (ended.size < n) {
    await delay(STOP_AFTER_MS)
    const { instances } = await node.describe(TASK)
    for (const { id, exit } of instances) if (exit !== null) ended.add(id)
    if (requests() > REQUESTS_MAX_PER_CYCLE * (n + CLIENTS)) {
      throw new Error(`${TASK} was stopped ${ended.size} times in ${requests()} requests`)
    }
  }
  return ended.size
}
