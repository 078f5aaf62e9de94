/** The sandbox driver: one process in bubblewrap's namespaces, with ainit as PID 1. */

import { writeFile } from 'node:fs/promises'
import path from 'node:path'

import type { Driver, InstancePlan } from '../driver.ts'
import { buildHosts, openProcessDriver, type Enclosure, type ProcessHost } from '../process.ts'

import { buildSandboxRecords, HOSTS } from './launch-plan.ts'
import { probeSandbox } from './probe.ts'

const MEMORY_BYTES_MIN = 4 * 1024 * 1024

/** @param nodeId  names the node's control groups; never shared by two nodes of a host */
export async function openSandboxDriver(host: ProcessHost, nodeId: string): Promise<Driver> {
  return await openProcessDriver(encloseInSandbox(host), host, nodeId)
}

function encloseInSandbox(host: ProcessHost): Enclosure {
  return {
    isolation: 'sandbox',
    memoryBytesMin: MEMORY_BYTES_MIN,
    phase: 'sandbox',
    probe: (cgroups) => probeSandbox(host, cgroups),
    check: () => {},
    limits: ({ spec: { limits } }) => ({ ...limits, cpuMillis: limits.startCpuMillis }),
    writeFiles: (plan, folder) => writeHosts(plan, folder),
    planLaunch: (plan, folder) => ({
      records: buildSandboxRecords(plan, host, folder),
      phase: 'sandbox',
    }),
  }
}

async function writeHosts(plan: InstancePlan, folder: string): Promise<void> {
  await writeFile(path.join(folder, HOSTS), buildHosts(plan), { mode: 0o644 })
}
