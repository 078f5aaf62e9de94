/** From an instance plan to what `ainit launch` is told: records, bwrap's argv, the files mounted into /etc. */

import { isIPv6 } from 'node:net'
import path from 'node:path'

import type { InstancePlan, Mount } from '../driver.ts'

import type { InstanceCgroup } from './cgroup.ts'

/** What is the same for every instance of a node. */
export interface SandboxHost {
  /** Where instance folders are made. */
  readonly instancesFolder: string
  /** Where control sockets are bound; its length counts towards the 107 bytes of a socket path. */
  readonly socketFolder: string
  /** Copies of ainit and busybox that any uid can read. */
  readonly ainitPath: string
  /** Holds `ETC_FILES`. */
  readonly etcFolder: string
  /** Lent to `exec` sessions; null: none on this host. */
  readonly busyboxPath: string | null
  readonly bwrapPath: string
  /** Holds `egress.sock`, and nothing else: instances keep the folder open, and a new node binds a new socket in it. */
  readonly egressFolder: string
  /** First uid of the node's range for tasks; null: everything runs as the user of this process. */
  readonly uidBase: number | null
  /** Group that may open streams to instances; null: only this process's user. */
  readonly streamGid: number | null
}

export type Records = readonly (readonly [key: string, value: string])[]

/** Uid and gid that the program sees inside its user namespace. */
const UID_INSIDE = '1000'
/** Where ainit answers, on UDP port 53; relays listen on TCP, so that no name is in its way. */
const NAME_SERVER = '127.0.0.53'
const RUN_TMPFS_BYTES = 16 * 1024 * 1024

export function buildRecords(
  plan: InstancePlan,
  host: SandboxHost,
  paths: { readonly folder: string; readonly socket: string },
  cgroup: InstanceCgroup,
): Records {
  const { spec, stdio } = plan
  const uid = host.uidBase === null ? undefined : String(host.uidBase + plan.uidIndex)

  return [
    ['id', plan.id],
    ['dir', paths.folder],
    ['socket', paths.socket],
    ...optional('stream_gid', host.streamGid?.toString()),
    ...optional('uid', uid),
    ...optional('gid', uid),
    ...each('cgroup', cgroup.outer),
    ...each('task_cgroup', cgroup.task),
    ...(plan.relays.length + plan.wildcards.length > 0
      ? [['egress', host.egressFolder] as const]
      : []),
    ...optional('lend', host.busyboxPath),
    ...each('bwrap', buildBwrapArgv(plan, host, paths.folder)),
    // Made by ainit, where every port may be bound by every uid: bwrap's own would keep the low ones.
    ...flag('netns', spec.network !== 'host'),
    ['program', plan.entry],
    ...each('arg', [spec.argv0 ?? plan.entry, ...spec.args]),
    ...each(
      'env',
      Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
    ),
    ['workdir', spec.workdir],
    ...each('port', declaredPorts(plan)),
    ...each('rlimit', [
      `nofile:${spec.limits.files}`,
      'core:0',
      ...(spec.limits.fileBytes === null ? [] : [`fsize:${spec.limits.fileBytes}`]),
    ]),
    ['log_bytes', String(spec.limits.logBytes)],
    ...each(
      'relay',
      plan.relays.map(
        ({ address, port, name }) =>
          `${isIPv6(address) ? `[${address}]` : address}:${port}:${name}`,
      ),
    ),
    ...each(
      'wildcard',
      plan.wildcards.map(({ pattern, port }) => `${port}:${pattern}`),
    ),
    ...(plan.wildcards.length > 0 ? [['dns', NAME_SERVER] as const] : []),
    ['token', plan.token],
    ...flag('hold', stdio.isHeld),
    ...flag('stdin', stdio.hasStdin),
    ...(stdio.isTerminal ? [['terminal', '24:80'] as const] : []),
    ...(spec.isWritable ? [['copy', '/.image:/app'] as const] : []),
  ]
}

function optional(key: string, value: string | undefined | null): Records {
  return value === undefined || value === null ? [] : [[key, value]]
}

function each(key: string, values: readonly (string | number)[]): Records {
  return values.map((value) => [key, String(value)])
}

function flag(key: string, isSet: boolean): Records {
  return isSet ? [[key, '1']] : []
}

export function declaredPorts(plan: InstancePlan): readonly number[] {
  const { http, ports } = plan.spec
  return [...new Set([...(http === null ? [] : [http.port]), ...ports.map(({ port }) => port)])]
}

function buildBwrapArgv(plan: InstancePlan, host: SandboxHost, folder: string): readonly string[] {
  const { spec } = plan
  const { tmpBytes } = spec.limits
  const resolvConf = plan.wildcards.length > 0 ? 'resolv-wildcards.conf' : 'resolv.conf'
  const namespaces = ['user', 'pid', 'ipc', 'uts', 'cgroup-try']
  return [
    host.bwrapPath,
    ...namespaces.map((name) => `--unshare-${name}`),
    ...`--uid ${UID_INSIDE} --gid ${UID_INSIDE} --hostname ${plan.task} --as-pid-1`.split(' '),
    ...bind(plan.binaryTree, '/'),
    ...'--proc /proc --dev /dev'.split(' '),
    ...tmpfs('/dev/shm', tmpBytes),
    ...'--remount-ro /dev'.split(' '),
    ...tmpfs('/tmp', tmpBytes),
    ...tmpfs('/run', RUN_TMPFS_BYTES),
    ...tmpfs('/var/tmp', tmpBytes),
    ...bind(plan.imageTree, spec.isWritable ? '/.image' : '/app'),
    ...(spec.isWritable ? tmpfs('/app', tmpBytes) : []),
    ...bind(path.join(folder, 'hosts'), '/etc/hosts'),
    ...['passwd', 'group'].flatMap((file) => bind(path.join(host.etcFolder, file), `/etc/${file}`)),
    ...bind(path.join(host.etcFolder, resolvConf), '/etc/resolv.conf'),
    ...plan.mounts.flatMap((mount) => bindMount(mount)),
    ...bind(host.ainitPath, '/.ainit'),
    ...'--chdir / -- /.ainit init'.split(' '),
  ]
}

function bind(source: string, target: string): readonly string[] {
  return ['--ro-bind', source, target]
}

function bindMount({ source, target, isWritable }: Mount): readonly string[] {
  return isWritable ? ['--bind', source, target] : bind(source, target)
}

function tmpfs(target: string, bytes: number): readonly string[] {
  return ['--size', String(bytes), '--perms', '1777', '--tmpfs', target]
}

/** Content of the instance's /etc/hosts. */
export function buildHosts(plan: InstancePlan): string {
  // An address is no name: programs connect to it without looking here.
  const named = plan.relays.filter(({ address, name }) => address !== name)
  const relays = named.map(({ address, name }) => `${address} ${name}\n`)
  return `127.0.0.1 localhost ${plan.task}\n::1 localhost\n${relays.join('')}`
}

/** What instances find in /etc, the same for all of them; which of the two resolv.conf, their manifest decides. */
export const ETC_FILES = {
  passwd: `root:x:0:0:root:/:/bin/sh\napp:x:${UID_INSIDE}:${UID_INSIDE}:app:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n`,
  group: `root:x:0:\napp:x:${UID_INSIDE}:\nnogroup:x:65534:\n`,
  // No name server: names resolve from /etc/hosts, everything else fails at once.
  'resolv.conf': '',
  // Names below a wildcard are ainit's to answer for.
  'resolv-wildcards.conf': `nameserver ${NAME_SERVER}\n`,
} as const
