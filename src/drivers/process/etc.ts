/** What programs find in /etc, whatever encloses them. */

import { hostnameOf } from '../../core/task.ts'
import type { InstancePlan } from '../driver.ts'

/** Uid and gid that the program sees. */
export const UID_INSIDE = '1000'
/** Where ainit answers, on UDP port 53; relays listen on TCP, so that no name is in its way. */
export const NAME_SERVER = '127.0.0.53'

/** Content of the instance's /etc/hosts. */
export function buildHosts(plan: InstancePlan): string {
  // An address is no name: programs connect to it without looking here.
  const named = plan.relays.filter(({ address, name }) => address !== name)
  const relays = named.map(({ address, name }) => `${address} ${name}\n`)
  const own = [...new Set([hostnameOf(plan.spec), plan.task])].join(' ')
  const loopback = plan.bridge === undefined ? `127.0.0.1 localhost ${own}` : '127.0.0.1 localhost'
  const onBridge = plan.bridge === undefined ? '' : `${plan.bridge.address} ${own}\n`
  return `${loopback}\n::1 localhost\n${onBridge}${relays.join('')}`
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

/** Which of the two an instance gets. */
export function resolvConfOf(plan: InstancePlan): 'resolv.conf' | 'resolv-wildcards.conf' {
  return hasNameServer(plan) ? 'resolv-wildcards.conf' : 'resolv.conf'
}

/** Whether PID 1 answers for names that /etc/hosts cannot have: below wildcards, and those of the bridge. */
export function hasNameServer({ wildcards, bridge }: InstancePlan): boolean {
  return wildcards.length > 0 || bridge !== undefined
}

/** The instance's own /etc/resolv.conf, with the name servers that it was given; null: one of the two. */
export function buildResolvConf({ spec }: InstancePlan): string | null {
  const dns = spec.identity?.dns ?? []
  if (dns.length === 0) return null
  return [NAME_SERVER, ...dns].map((address) => `nameserver ${address}\n`).join('')
}
