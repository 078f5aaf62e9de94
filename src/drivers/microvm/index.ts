/**
 * The microvm driver: one program in a machine of its own, with a kernel of its own, and ainit as PID 1. The hypervisor is a
 * process in a sandbox; all that a process has, such machines share with the sandbox driver (`process.ts`).
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

import type { QuiverError } from '../../core/error.ts'
import type { Driver } from '../driver.ts'
import { openCgroups, openProcessDriver, type ProcessHost } from '../process.ts'

import { Cloning } from './cloning.ts'
import { encloseInMachine } from './enclosure.ts'
import { Machinery, type MachineryParts } from './machinery.ts'

export type { MachineryParts } from './machinery.ts'

/**
 * @param nodeId  names the driver's control groups; never shared by two drivers of a host
 * @param onFailure  a template could not be made, and machines boot
 */
export async function openMicrovmDriver(
  host: ProcessHost,
  parts: MachineryParts & { readonly templatesFolder: string },
  nodeId: string,
  onFailure: (error: QuiverError) => void,
): Promise<Driver> {
  const cgroups = openCgroups(nodeId, await readFile('/proc/self/mountinfo', 'utf8'))
  const group = (id: string) => cgroups.group(id)
  const cloning = new Cloning({ host, folder: parts.templatesFolder, group, onFailure })
  const machinery = new Machinery(parts)
  // A node that has had machines will have them again: the processor is tried before a request waits for that.
  if (existsSync(parts.disksFolder)) machinery.hypervisor().catch(() => {})
  const enclosure = encloseInMachine({ host, machinery, cloning })
  return await openProcessDriver(enclosure, host, nodeId)
}
