/** From a request to a task whose instance is paused, to its 200. */

import { setTimeout as delay } from 'node:timers/promises'

import { reportDurations } from './measure.ts'
import { BenchNode } from './node.ts'
import type { BenchOptions } from './suite.ts'

const RUNS = 200
const WARM_UP = 10
const TASK = 'static-c'
/** Between two requests for the peer, so that the node is as idle as for a resume. */
const PAUSE_MS = 60

export async function run({ n = RUNS }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  await node.deployExample(TASK, 'pause_after = "30ms"\nstop_after = "never"')
  await node.request(TASK)
  const resumed: number[] = []
  for (let index = -WARM_UP; index < n; index++) {
    await node.untilState(TASK, 'paused')
    const { status, ms } = await node.request(TASK)
    if (status !== 200) throw new Error(`${TASK} answered ${status}`)
    if (index >= 0) resumed.push(ms)
  }
  const samples = await measureWarm(node, n)
  reportDurations('sandbox-resume.static', resumed, { name: 'warm request', samples })
}

async function measureWarm(node: BenchNode, n: number): Promise<readonly number[]> {
  const task = 'static-warm'
  await node.deployExample(TASK, 'pause_after = "never"\nstop_after = "never"', task)
  const warm: number[] = []
  for (let index = -WARM_UP; index < n; index++) {
    const { ms } = await node.request(task)
    if (index >= 0) warm.push(ms)
    await delay(PAUSE_MS)
  }
  return warm
}
