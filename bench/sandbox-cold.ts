/** From a request to a task that has no process, to its 200; and the bare process from exec to its 200, in turn. */

import { reportDurations, say } from './measure.ts'
import { BenchNode } from './node.ts'
import { timeBare } from './processes.ts'
import type { BenchOptions } from './suite.ts'

const RUNS = 50
/** The first ones fill the page cache and compile the hot paths of the node. */
const WARM_UP = 5

interface Case {
  readonly name: string
  readonly example: string
  readonly peer: string
  /** Of the bare process, started in the folder of the application. */
  readonly command: readonly [program: string, ...args: string[]]
}

const CASES: readonly Case[] = [
  { name: 'static', example: 'static-c', peer: 'bare executable', command: ['./server'] },
  {
    name: 'node-hello',
    example: 'node-hello',
    peer: 'bare node',
    command: [process.execPath, 'server.mjs'],
  },
  {
    name: 'python-web',
    example: 'python-web',
    peer: 'bare python3',
    command: ['/usr/bin/python3', 'server.py'],
  },
]

export async function run({ n = RUNS }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  for (const one of CASES) await measure(node, one, n)
}

async function measure(node: BenchNode, { name, example, peer, command }: Case, n: number) {
  const folder = await node.deployExample(example, 'pause_after = "never"\nstop_after = "50ms"')
  const [cold, bare]: [number[], number[]] = [[], []]
  for (let index = -WARM_UP; index < n; index++) {
    await node.untilState(example, 'idle')
    const { status, ms } = await node.request(example)
    if (status !== 200) throw new Error(`${example} answered ${status}`)
    await node.untilState(example, 'idle')
    const bareMs = await timeBare(command, folder)
    if (index < 0) continue
    cold.push(ms)
    bare.push(bareMs)
  }
  reportDurations(`sandbox-cold.${name}`, cold, { name: peer, samples: bare })
  const { instances } = await node.describe(example)
  const phases = instances[0]?.phases ?? []
  say(phases.map(({ name: phase, durationMs }) => `${phase} ${durationMs.toFixed(1)}`).join(', '))
}
