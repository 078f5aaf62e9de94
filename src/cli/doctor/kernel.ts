/** What the kernel offers: namespaces, control groups, system call filters. Looks and tries; changes nothing. */

import { execFile } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

import { errnoOf } from '../../core/error.ts'

import { finding, packages } from './finding.ts'
import type { Finding } from './finding.ts'

const execute = promisify(execFile)
const TRY_TIMEOUT_MS = 5000

const LOST = {
  memory: 'limits.memory is not enforced',
  cpu: 'limits.cpu is not enforced',
  pids: 'limits.pids is not enforced',
  freezer: 'idle instances are stopped, but not paused',
} as const

export async function checkKernel(): Promise<readonly Finding[]> {
  const [namespaces, cgroups, seccomp] = await Promise.all([
    checkNamespaces(),
    checkCgroups(),
    checkSeccomp(),
  ])
  return [namespaces, ...cgroups, seccomp]
}

/** By doing it: what sysctls and security modules say together is known only then. */
async function checkNamespaces(): Promise<Finding> {
  const feature = 'namespaces through bubblewrap'
  const unshare = ['user', 'pid', 'net', 'ipc', 'uts'].map((name) => `--unshare-${name}`)
  try {
    const args = [...unshare, '--ro-bind', '/', '/', 'true']
    await execute('bwrap', args, { timeout: TRY_TIMEOUT_MS })
    return finding(feature, true)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      const remedy = 'Nothing can be isolated without bubblewrap.'
      return finding(feature, false, { remedy, fix: packages('bubblewrap') })
    }
    const remedy =
      'bubblewrap is there, but the kernel refuses user namespaces: set kernel.unprivileged_userns_clone=1, ' +
      'user.max_user_namespaces above 0 and, where it exists, kernel.apparmor_restrict_unprivileged_userns=0.'
    return finding(feature, false, { remedy })
  }
}

async function checkCgroups(): Promise<readonly Finding[]> {
  const { version, controllers } = await findControllers()
  return Object.entries(LOST).map(([name, lost]) =>
    finding(`control group ${name}`, controllers.includes(name), {
      isRequired: false,
      detail: `version ${version}`,
      remedy: `Without it ${lost}. Run the node as root.`,
    }),
  )
}

/** Version 2 where its hierarchy has controllers, else what can be written of version 1. */
async function findControllers(): Promise<{ version: 1 | 2; controllers: readonly string[] }> {
  const v2 = await readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').catch(() => '')
  if (v2.trim() !== '') {
    const isOurs = await canWrite('/sys/fs/cgroup/cgroup.subtree_control')
    // The freezer is part of version 2 itself.
    return { version: 2, controllers: isOurs ? [...v2.trim().split(/\s+/), 'freezer'] : [] }
  }
  const names = Object.keys(LOST)
  const found = await Promise.all(names.map((name) => canWrite(`/sys/fs/cgroup/${name}`)))
  return { version: 1, controllers: names.filter((_, index) => found[index]) }
}

async function checkSeccomp(): Promise<Finding> {
  const actions = await readFile('/proc/sys/kernel/seccomp/actions_avail', 'utf8').catch(() => '')
  return finding('system call filter (seccomp)', actions.includes('errno'), {
    remedy: 'Use a kernel with CONFIG_SECCOMP_FILTER: tasks could otherwise make any system call.',
  })
}

async function canWrite(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
}
