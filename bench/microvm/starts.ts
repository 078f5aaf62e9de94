/**
 * The same application from a request to its 200 in five ways, in turn: as a bare process, in the sandbox, in a machine that boots,
 * in a clone of one that had booted, and in a clone of one whose program was ready.
 */

import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { watchEvents } from '../../src/drivers/process/channel.ts'
import { quantile, say } from '../measure.ts'
import type { BenchNode } from '../node.ts'
import { timeBare } from '../processes.ts'

import { controlSockets } from './nodes.ts'

/** Long enough to ask a machine that has answered for its events. */
const SCALE = 'pause_after = "never"\nstop_after = "100ms"'
/** Starts before those that count. A template is made at deployment, and the first clone reads it into memory. */
const WARM_UP = 2

export interface Case {
  readonly example: string
  /** Of the bare process, started in the folder of the application. */
  readonly command: readonly [program: string, ...args: string[]]
}

export interface Nodes {
  readonly cloning: BenchNode
  readonly booting: BenchNode
}

export type Way = 'bare' | 'sandbox' | 'boot' | 'clone' | 'ready'

/** Milliseconds. */
export interface Starts extends Readonly<Record<Way, readonly number[]>> {
  /** From the kernel's first reading of its clock to the greeting of its PID 1, in machines that boot. */
  readonly kernel: readonly number[]
}

export async function measureStarts(nodes: Nodes, one: Case, n: number): Promise<Starts> {
  const { example } = one
  const { cloning, booting } = nodes
  const names = { sandbox: `${example}-box`, machine: `${example}-vm`, ready: `${example}-ready` }
  const isolation = ['--isolation', 'microvm']
  const folder = await cloning.deployExample(example, SCALE, names.sandbox)
  await cloning.deployExample(example, SCALE, names.machine, ...isolation)
  await booting.deployExample(example, SCALE, names.machine, ...isolation)
  await deployReady(cloning, example, names.ready)
  const sandbox = new Starter(cloning, names.sandbox, 'sandbox')
  const clone = new Starter(cloning, names.machine, 'clone')
  const ready = new Starter(cloning, names.ready, 'ready')
  const boot = new Starter(booting, names.machine, 'boot')
  const [bare, kernel]: [number[], number[]] = [[], []]
  for (let index = -WARM_UP; index < n; index++) {
    bare.push(await timeBare(one.command, folder))
    await sandbox.start()
    await clone.start()
    await ready.start()
    await boot.start(async () => kernel.push(await kernelMs(booting)))
  }
  for (const starter of [sandbox, clone, ready, boot]) starter.sayPhases()
  return {
    bare: bare.slice(WARM_UP),
    sandbox: sandbox.times.slice(WARM_UP),
    boot: boot.times.slice(WARM_UP),
    clone: clone.times.slice(WARM_UP),
    ready: ready.times.slice(WARM_UP),
    kernel: kernel.slice(WARM_UP),
  }
}

/** By which it is seen that a start went this way. */
const PHASES = {
  sandbox: 'sandbox',
  boot: 'boot',
  clone: 'clone',
  ready: 'restore',
} as const

/** Its first start, at deployment or as a warm-up, makes the template. */
async function deployReady(node: BenchNode, example: string, name: string): Promise<void> {
  const folder = await node.deployExample(example, SCALE, name)
  const manifest = path.join(folder, 'quiver.toml')
  const rest = await readFile(manifest, 'utf8')
  await writeFile(manifest, `isolation = "microvm"\nsnapshot = "ready"\n${rest}`)
  await node.processes.ok('deploy', folder, '--name', name)
}

/** Starts a task by a request, again and again, and keeps where the time went. */
class Starter {
  readonly times: number[] = []
  readonly #phases = new Map<string, number[]>()
  readonly #node: BenchNode
  readonly #task: string
  readonly #way: keyof typeof PHASES

  constructor(node: BenchNode, task: string, way: keyof typeof PHASES) {
    this.#node = node
    this.#task = task
    this.#way = way
  }

  /** @param look  while it runs */
  async start(look: () => Promise<unknown> = async () => {}): Promise<void> {
    await this.#node.untilState(this.#task, 'idle')
    const { status, ms } = await this.#node.request(this.#task)
    if (status !== 200) throw new Error(`${this.#task} answered ${status}`)
    await look()
    this.times.push(ms)
    await this.#node.untilState(this.#task, 'idle')
    await this.#keepPhases()
  }

  async #keepPhases(): Promise<void> {
    const { instances } = await this.#node.describe(this.#task)
    const [last] = instances.toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    const phases = last?.phases ?? []
    // What started by another way than it is measured for is no sample of it.
    const phase = PHASES[this.#way]
    if (this.times.length > WARM_UP && !phases.some(({ name }) => name === phase)) {
      throw new Error(`${this.#task} was started without the phase ${phase}`)
    }
    for (const { name, durationMs } of phases) {
      this.#phases.set(name, [...(this.#phases.get(name) ?? []), durationMs])
    }
  }

  sayPhases(): void {
    const medians = [...this.#phases].map(
      ([name, all]) => `${name} ${quantile(all, 0.5).toFixed(1)}`,
    )
    say(`${this.#task}, ${this.#way}, medians of phases in ms: ${medians.join(', ')}`)
  }
}

/** As the one machine that runs tells it. */
async function kernelMs(node: BenchNode): Promise<number> {
  const [socket = ''] = await controlSockets(node)
  const greeted = Promise.withResolvers<number>()
  const channel = await watchEvents(
    socket,
    ({ name, fields }) => {
      if (name === 'boot') greeted.resolve(Number(fields['uptime_ns']) / 1e6)
    },
    () => greeted.reject(new Error('the machine ended before it told its events')),
  )
  try {
    return await greeted.promise
  } finally {
    channel[Symbol.dispose]()
  }
}
