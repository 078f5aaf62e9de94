/** What this host offers to the processes of instances, found by trying it; for `quiver doctor` and `driver.probe()`. */

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { errnoOf } from '../../core/error.ts'
import type { ProbeFinding } from '../driver.ts'

import type { CgroupHierarchy } from './cgroup.ts'
import type { ProcessHost } from './host.ts'

const run = promisify(execFile)
const PROBE_TIMEOUT_MS = 5000

export async function probeNamespaces({ bwrapPath }: ProcessHost): Promise<ProbeFinding> {
  const namespaces = [
    '--unshare-user',
    '--unshare-pid',
    '--unshare-net',
    '--unshare-ipc',
    '--unshare-uts',
  ]
  try {
    await run(bwrapPath, [...namespaces, '--ro-bind', '/', '/', 'true'], {
      timeout: PROBE_TIMEOUT_MS,
    })
    return { feature: 'namespaces through bubblewrap', present: true, isRequired: true }
  } catch (error) {
    const isMissing = errnoOf(error) === 'ENOENT'
    return {
      feature: 'namespaces through bubblewrap',
      present: false,
      isRequired: true,
      remedy: isMissing
        ? 'Nothing can be isolated without bubblewrap: install it.'
        : 'bubblewrap is there but the kernel refuses user namespaces: set kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0 where it exists).',
      ...(isMissing ? { packages: ['bubblewrap'] } : {}),
    }
  }
}

export function probeCgroups({ version, missing }: CgroupHierarchy): readonly ProbeFinding[] {
  const lost: Readonly<Record<string, string>> = {
    memory: 'limits.memory is not enforced',
    cpu: 'limits.cpu is not enforced',
    pids: 'limits.pids is not enforced',
    freezer: 'idle instances are not paused, only stopped',
  }
  return ['memory', 'cpu', 'pids', 'freezer'].map((controller) => {
    const present = !missing.includes(controller)
    return {
      feature: `cgroup ${controller} (version ${version})`,
      present,
      isRequired: false,
      ...(present
        ? {}
        : {
            remedy: `Without it ${lost[controller]}. Run the node as root.`,
          }),
    }
  })
}

export function probeRest({ busyboxPath, uidBase }: ProcessHost): readonly ProbeFinding[] {
  return [
    {
      feature: 'a shell to lend to "quiver exec"',
      present: busyboxPath !== null,
      isRequired: false,
      remedy: 'Without it "quiver exec NAME -- sh" works only where the image has a shell.',
      packages: ['busybox-static'],
    },
    {
      feature: 'a uid of its own for each task',
      present: uidBase !== null,
      isRequired: false,
      remedy: 'Without it all tasks share this user outside their namespaces. Run as root.',
    },
  ]
}
