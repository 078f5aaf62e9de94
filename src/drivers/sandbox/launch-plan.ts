/** From an instance plan to what `ainit launch` is told of its sandbox: bwrap's arguments. */

import path from 'node:path'

import { hostnameOf } from '../../core/task.ts'
import type { InstancePlan } from '../driver.ts'
import {
  bind,
  bindMount,
  buildResolvConf,
  each,
  flag,
  resolvConfOf,
  tmpfs,
  UID_INSIDE,
  type ProcessHost,
  type Records,
} from '../process.ts'

/** In the instance's folder: what is mounted at /etc/hosts. */
export const HOSTS = 'hosts'
/** The same for /etc/resolv.conf, where it is its own. */
export const RESOLV_CONF = 'resolv.conf'
const RUN_TMPFS_BYTES = 16 * 1024 * 1024

export function buildSandboxRecords(
  plan: InstancePlan,
  host: ProcessHost,
  folder: string,
): Records {
  return [
    ...each('bwrap', buildBwrapArgv(plan, host, folder)),
    // Made by ainit, where every port may be bound by every uid: bwrap's own would keep the low ones.
    ...flag('netns', plan.spec.network !== 'host'),
  ]
}

function buildBwrapArgv(plan: InstancePlan, host: ProcessHost, folder: string): readonly string[] {
  const { spec } = plan
  const { tmpBytes } = spec.limits
  const namespaces = ['user', 'pid', 'ipc', 'uts', 'cgroup-try']
  return [
    host.bwrapPath,
    ...namespaces.map((name) => `--unshare-${name}`),
    ...`--uid ${UID_INSIDE} --gid ${UID_INSIDE} --hostname ${hostnameOf(spec)} --as-pid-1`.split(
      ' ',
    ),
    ...bind(plan.binaryTree, '/'),
    ...'--proc /proc --dev /dev'.split(' '),
    ...tmpfs('/dev/shm', tmpBytes),
    ...'--remount-ro /dev'.split(' '),
    ...tmpfs('/tmp', tmpBytes),
    ...tmpfs('/run', RUN_TMPFS_BYTES),
    ...tmpfs('/var/tmp', tmpBytes),
    ...bind(plan.imageTree, spec.isWritable ? '/.image' : '/app'),
    ...(spec.isWritable ? tmpfs('/app', tmpBytes) : []),
    ...bind(path.join(folder, HOSTS), '/etc/hosts'),
    ...['passwd', 'group'].flatMap((file) => bind(path.join(host.etcFolder, file), `/etc/${file}`)),
    ...bind(resolvConfPath(plan, host, folder), '/etc/resolv.conf'),
    ...plan.mounts.flatMap((mount) => bindMount(mount)),
    ...bind(host.ainitPath, '/.ainit'),
    ...'--chdir / -- /.ainit init'.split(' '),
  ]
}

function resolvConfPath(plan: InstancePlan, host: ProcessHost, folder: string): string {
  if (buildResolvConf(plan) !== null) return path.join(folder, RESOLV_CONF)
  return path.join(host.etcFolder, resolvConfOf(plan))
}
