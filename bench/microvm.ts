/**
 * Machines with a kernel of their own: how long they take to start, by boot and as a clone, beside the sandbox and the bare
 * process; and what their channel carries. The table of the README is what it says at the end.
 */

import { quantile, reportDurations, say } from './measure.ts'
import { measureChannel } from './microvm/channel.ts'
import { findGuests, haveMachinesBoot, type Guests } from './microvm/nodes.ts'
import { measureStarts, type Case, type Starts, type Way } from './microvm/starts.ts'
import { BenchNode } from './node.ts'
import type { BenchOptions } from './suite.ts'

const RUNS = 20

/** An application, and what its figures are called. */
interface NamedCase extends Case {
  readonly figures: Readonly<Record<Exclude<keyof Starts, 'bare'>, string>>
}

const CASES: readonly NamedCase[] = [
  {
    example: 'static-c',
    command: ['./server'],
    figures: {
      sandbox: 'sandbox-static',
      boot: 'boot-static',
      clone: 'clone-static',
      ready: 'ready-static',
      kernel: 'kernel-static',
    },
  },
  {
    example: 'node-hello',
    command: [process.execPath, 'server.mjs'],
    figures: {
      sandbox: 'sandbox-node-hello',
      boot: 'boot-node-hello',
      clone: 'clone-node-hello',
      ready: 'ready-node-hello',
      kernel: 'kernel-node-hello',
    },
  },
]

export async function run({ n = RUNS }: BenchOptions): Promise<void> {
  await using cloning = await BenchNode.start()
  await using booting = await BenchNode.start()
  await haveMachinesBoot(booting)
  const rows: string[] = []
  for (const one of CASES) {
    const starts = await measureStarts({ cloning, booting }, one, n)
    const machine = await findGuests(cloning)
    reportStarts(one, starts, machine)
    rows.push(formatRow(one.example, starts))
  }
  const machine = await findGuests(cloning)
  await measureChannel(cloning, machine)
  say(formatTable(rows, machine, n))
}

function reportStarts({ figures }: NamedCase, starts: Starts, machine: Guests): void {
  const bare = { name: 'bare process', samples: starts.bare }
  const sandbox = { name: 'sandbox', samples: starts.sandbox }
  const boot = { name: 'its own boot', samples: starts.boot }
  reportDurations(`microvm.${figures.sandbox}`, starts.sandbox, bare)
  reportDurations(`microvm.${figures.boot}`, starts.boot, sandbox, { machine })
  reportDurations(`microvm.${figures.clone}`, starts.clone, boot, { machine })
  reportDurations(`microvm.${figures.ready}`, starts.ready, boot, { machine })
  reportDurations(`microvm.${figures.kernel}`, starts.kernel, undefined, { machine })
}

/** One row of the README: the four ways, side by side. */
function formatRow(example: string, starts: Starts): string {
  const cells = WAYS.map((way) => formatMs(quantile(starts[way], 0.5)))
  return `| \`${example}\` | ${cells.join(' | ')} |`
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${ms.toPrecision(3)} ms` : `${(ms / 1000).toPrecision(3)} s`
}

const WAYS: readonly Way[] = ['bare', 'sandbox', 'boot', 'clone', 'ready']

function formatTable(rows: readonly string[], machine: Guests, n: number): string {
  return [
    `Request to first 200, p50 of ${n}; guests by ${machine === 'kvm' ? 'KVM' : 'emulation'}:`,
    '',
    '| same app | bare process | sandbox | microvm, cold boot | microvm, clone | clone, ready |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}
