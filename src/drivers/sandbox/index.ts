/** The sandbox driver: one process in bubblewrap's namespaces, with ainit as PID 1. */

import { writeFile } from 'node:fs/promises'
import path from 'node:path'

import { bridgeRecords } from '../bridge.ts'
import type { Driver, InstancePlan } from '../driver.ts'
import {
  buildHosts,
  buildResolvConf,
  openProcessDriver,
  type Enclosure,
  type LaunchPlan,
  type ProcessHost,
} from '../process.ts'

import { buildSandboxRecords, HOSTS, RESOLV_CONF } from './launch-plan.ts'
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
    isFrozenWhole: false,
    check: () => {},
    provision: async () => {},
    limits: ({ spec: { limits } }) => ({ ...limits, cpuMillis: limits.startCpuMillis }),
    isBridgeable: true,
    writeFiles: (plan, folder) => writeFiles(plan, folder),
    planLaunch: (plan, folder) => planLaunch(plan, host, folder),
  }
}

async function writeFiles(plan: InstancePlan, folder: string): Promise<void> {
  await writeFile(path.join(folder, HOSTS), buildHosts(plan), { mode: 0o644 })
  const resolvConf = buildResolvConf(plan)
  if (resolvConf === null) return
  await writeFile(path.join(folder, RESOLV_CONF), resolvConf, { mode: 0o644 })
}

async function planLaunch(
  plan: InstancePlan,
  host: ProcessHost,
  folder: string,
): Promise<LaunchPlan> {
  const connection = await host.bridge?.join(plan, folder)
  const onBridge = connection === undefined ? [] : bridgeRecords(plan, connection)
  const records = [...buildSandboxRecords(plan, host, folder), ...onBridge]
  return { records, phase: 'sandbox' }
}
