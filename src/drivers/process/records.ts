/** What `ainit launch` is told of every instance, whatever encloses it. */

import { isIPv6 } from 'node:net'

import type { InstancePlan } from '../driver.ts'

import type { InstanceCgroup } from './cgroup.ts'
import { hasNameServer, NAME_SERVER } from './etc.ts'
import type { ProcessHost } from './host.ts'

/** In the order in which they are told. */
export type Records = readonly (readonly [key: string, value: string])[]

export function buildRecords(
  plan: InstancePlan,
  host: ProcessHost,
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
    ...(hasNameServer(plan) ? [['dns', NAME_SERVER] as const] : []),
    ['token', plan.token],
    ...flag('hold', stdio.isHeld),
    ...flag('stdin', stdio.hasStdin),
    ...(stdio.isTerminal ? [['terminal', '24:80'] as const] : []),
    ...(spec.isWritable ? [['copy', '/.image:/app'] as const] : []),
  ]
}

/** No record, or one. */
export function optional(key: string, value: string | undefined | null): Records {
  return value === undefined || value === null ? [] : [[key, value]]
}

export function each(key: string, values: readonly (string | number)[]): Records {
  return values.map((value) => [key, String(value)])
}

export function flag(key: string, isSet: boolean): Records {
  return isSet ? [[key, '1']] : []
}

/** Each once: that of HTTP first. */
export function declaredPorts(plan: InstancePlan): readonly number[] {
  const { http, ports } = plan.spec
  return [...new Set([...(http === null ? [] : [http.port]), ...ports.map(({ port }) => port)])]
}
