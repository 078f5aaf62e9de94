/**
 * The microvm driver: one program in a machine of its own, with a kernel of its own, and ainit as PID 1. The hypervisor is a
 * process in a sandbox; all that a process has, such machines share with the sandbox driver (`process.ts`).
 */

import type { Driver } from '../driver.ts'
import { openProcessDriver, type ProcessHost } from '../process.ts'

import { encloseInMachine } from './enclosure.ts'
import { Machinery, type MachineryParts } from './machinery.ts'

export type { MachineryParts } from './machinery.ts'

/** @param nodeId  names the driver's control groups; never shared by two drivers of a host */
export async function openMicrovmDriver(
  host: ProcessHost,
  parts: MachineryParts,
  nodeId: string,
): Promise<Driver> {
  return await openProcessDriver(encloseInMachine(host, new Machinery(parts)), host, nodeId)
}
