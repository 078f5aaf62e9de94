/** What this host offers to the sandbox, found by trying it; for `quiver doctor` and `driver.probe()`. */

import type { ProbeReport } from '../driver.ts'
import {
  probeCgroups,
  probeNamespaces,
  probeRest,
  type CgroupHierarchy,
  type ProcessHost,
} from '../process.ts'

export async function probeSandbox(
  host: ProcessHost,
  cgroups: CgroupHierarchy,
): Promise<ProbeReport> {
  const findings = [await probeNamespaces(host), ...probeCgroups(cgroups), ...probeRest(host)]
  return { usable: findings.every(({ present, isRequired }) => present || !isRequired), findings }
}
