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

const CASES: readonly Case[] = [
  { name: 'static', example: 'static-c', command: ['./server'] },
  { name: 'node-hello', example: 'node-hello', command: [process.execPath, 'server.mjs'] },
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

function reportStarts({ name }: Case, { kernel, ...starts }: Starts, machine: Guests): void {
  const boot = { name: 'its own boot', samples: starts.boot }
  const sandbox = { name: 'sandbox', samples: starts.sandbox }
  reportDurations(`microvm.boot-${name}`, starts.boot, sandbox, { machine })
  reportDurations(`microvm.clone-${name}`, starts.clone, boot, { machine })
  reportDurations(`microvm.sandbox-${name}`, starts.sandbox, {
    name: 'bare process',
    samples: starts.bare,
  })
  reportDurations(`microvm.kernel-${name}`, kernel, undefined, { machine })
}

/** One row of the README: the four ways, side by side. */
function formatRow(example: string, starts: Starts): string {
  const cells = WAYS.map((way) => `${quantile(starts[way], 0.5).toPrecision(3)} ms`)
  return `| \`${example}\` | ${cells.join(' | ')} |`
}

const WAYS: readonly Way[] = ['bare', 'sandbox', 'boot', 'clone']

function formatTable(rows: readonly string[], machine: Guests, n: number): string {
  return [
    `Request to first 200, p50 of ${n}; guests by ${machine === 'kvm' ? 'KVM' : 'emulation'}:`,
    '',
    '| same app | bare process | sandbox | microvm, cold boot | microvm, clone |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}
