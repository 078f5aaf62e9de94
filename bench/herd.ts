/** Many first requests at once to a task that has no process: how many instances start, and who is answered. */

import { report, reportDurations } from './measure.ts'
import { BenchNode } from './node.ts'
import type { BenchOptions } from './suite.ts'

const REQUESTS = 500
const ROUNDS = 5
const TASK = 'node-hello'
/** One instance may have them all: that only one starts is then a matter of asking once. */
const SCALE = 'concurrency = 10000\npause_after = "never"\nstop_after = "100ms"'

export async function run({ n = REQUESTS }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  await node.deployExample(TASK, SCALE)
  const times: number[] = []
  const instances = new Set<string>()
  let answered = 0
  for (let round = 0; round < ROUNDS; round++) {
    await node.untilState(TASK, 'idle')
    const answers = await Promise.all(Array.from({ length: n }, () => node.request(TASK)))
    answered += answers.filter(({ status }) => status === 200).length
    times.push(...answers.map(({ ms }) => ms))
    for (const { id } of (await node.describe(TASK)).instances) instances.add(id)
  }
  report({ name: 'herd.starts.count', value: instances.size / ROUNDS, unit: 'count', n: ROUNDS })
  report({ name: 'herd.ok.count', value: answered / ROUNDS, unit: 'count', n: ROUNDS })
  reportDurations('herd.answer', times)
}
