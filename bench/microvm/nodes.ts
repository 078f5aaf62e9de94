/** Nodes with virtual machines: what runs their guests, and one whose machines boot. */

import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

import type { Figure } from '../measure.ts'
import type { BenchNode } from '../node.ts'

export type Guests = NonNullable<Figure['machine']>

/** A file stands where templates would be kept: none is made, and every start is a boot. Before the first deployment. */
export async function haveMachinesBoot({ processes }: BenchNode): Promise<void> {
  const folder = path.join(processes.data, 'templates')
  await rm(folder, { recursive: true, force: true })
  await writeFile(folder, '')
}

/** After the first deployment to a machine: found out by the node itself, by starting one. */
export async function findGuests({ processes }: BenchNode): Promise<Guests> {
  const file = path.join(processes.data, 'bin', 'accelerator.json')
  const { accelerator } = JSON.parse(await readFile(file, 'utf8'))
  return accelerator === 'kvm' ? 'kvm' : 'emulation'
}

/** Control sockets of all instances of the node that live. */
export async function controlSockets({ processes }: BenchNode): Promise<readonly string[]> {
  const folder = path.join(processes.run, 'i')
  const names = await readdir(folder)
  return names.filter((name) => name.endsWith('.c')).map((name) => path.join(folder, name))
}
