/**
 * Names of outside hosts, as manifests write them: which name a rule means, and on which ports. Pure; what a name leads to,
 * and whether that may be reached, is the egress relay's to find out.
 */

import { isIP } from 'node:net'

interface HostPort {
  /** A host name in lower case, an IP address, or `*.` and a domain. */
  readonly host: string
  readonly port: number
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*.')
}

/**
 * Whether a wildcard covers a name: `*.example.com` covers `a.example.com` and `a.b.example.com`, never `example.com`
 * itself, and never an address. As in a Content-Security-Policy; TLS certificates cover one label only.
 */
export function isCovered(name: string, wildcard: string): boolean {
  if (!isWildcard(wildcard) || isWildcard(name) || isIP(name) !== 0) return false
  const suffix = wildcard.slice(1)
  return name.length > suffix.length && name.endsWith(suffix) && !name.startsWith('.')
}

/**
 * Every host that is named outright, with its own ports and those of the wildcards that cover it: a name has one address
 * inside an instance, where all of its ports are to be listened for. Each pair once.
 */
export function listNamedHosts(rules: readonly HostPort[]): readonly HostPort[] {
  const wildcards = rules.filter(({ host }) => isWildcard(host))
  const pairs = rules
    .filter(({ host }) => !isWildcard(host))
    .flatMap((rule) => [
      rule,
      ...wildcards
        .filter((each) => isCovered(rule.host, each.host))
        .map((each) => ({ host: rule.host, port: each.port })),
    ])
  return [...new Map(pairs.map(({ host, port }) => [`${host} ${port}`, { host, port }])).values()]
}
