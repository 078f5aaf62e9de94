/** What a deployment or run changes of an image's specification: named configuration first, then overrides. Pure. */

import type { SpecOverrides } from '../../api/resources.ts'
import { QuiverError } from '../../core/error.ts'
import { parseHostname, parseMac } from '../../core/identity.ts'
import { formatIpv4, parseIpv4 } from '../../core/ipv4.ts'
import { nearestName } from '../../core/name.ts'
import { START_TIMEOUT_MS, type Isolation, type PortSpec, type TaskSpec } from '../../core/task.ts'
import type { ImageConfig } from '../../images/images.ts'

/**
 * @param name  of the task; the image's unless given
 * @throws QuiverError `not_found/CONFIG_NOT_FOUND` with the nearest name
 */
export function buildSpec(
  image: ImageConfig,
  request: {
    readonly name?: string | undefined
    readonly config?: string | undefined
    readonly overrides?: SpecOverrides | undefined
  },
  domain: string,
): TaskSpec {
  const name = request.name ?? image.name
  const base = applyConfig(image, request.config)
  return applyOverrides(rename(base, name, domain), request.overrides ?? {})
}

function applyConfig(image: ImageConfig, config: string | undefined): TaskSpec {
  const { spec, configs, name } = image
  if (config === undefined) return spec
  const changes = Object.hasOwn(configs, config) ? configs[config] : undefined
  if (changes === undefined) {
    const nearest = nearestName(config, Object.keys(configs))
    throw new QuiverError(
      'not_found',
      'CONFIG_NOT_FOUND',
      `${name} has no configuration "${config}"`,
      {
        hint:
          nearest === undefined
            ? `There are: ${Object.keys(configs).join(', ') || 'none'}.`
            : `Did you mean "${nearest}"?`,
      },
    )
  }
  return { ...spec, ...changes, env: { ...spec.env, ...changes.env } }
}

/** Under another name it cannot have the routes of the first: it gets its default one. */
function rename(spec: TaskSpec, name: string, domain: string): TaskSpec {
  if (name === spec.name) return spec
  const http = spec.http === null ? null : { ...spec.http, routes: [`${name}.${domain}`] }
  return { ...spec, name, http }
}

function applyOverrides(spec: TaskSpec, overrides: SpecOverrides): TaskSpec {
  const { args, env, memoryBytes, cpuMillis, wallTimeMs, isolation, publish = [] } = overrides
  const published = publish.map(({ address, hostPort, port }) => ({
    port,
    publish: { address, port: hostPort },
  }))
  const isReplaced = ({ port }: PortSpec) => published.some((other) => other.port === port)
  // The HTTP port may be published as plain TCP beside its routes: it is declared once.
  return {
    ...spec,
    args: args ?? spec.args,
    env: { ...spec.env, ...env },
    isolation: isolation ?? spec.isolation,
    network: overrides.network ?? spec.network,
    ...identify(spec, overrides),
    ports: [...spec.ports.filter((port) => !isReplaced(port)), ...published],
    limits: {
      ...spec.limits,
      memoryBytes: memoryBytes ?? spec.limits.memoryBytes,
      cpuMillis: cpuMillis ?? spec.limits.cpuMillis,
      wallTimeMs: wallTimeMs ?? spec.limits.wallTimeMs,
      startTimeoutMs: startTimeoutOf(spec, isolation ?? spec.isolation),
    },
  }
}

/** @throws QuiverError `invalid_argument/IP_INVALID`, `invalid_argument/MAC_INVALID`, `invalid_argument/NAME_INVALID` */
function identify(
  { identity, scale }: TaskSpec,
  { hostname, ip, mac, dns }: SpecOverrides,
): Pick<TaskSpec, 'identity' | 'scale'> {
  const isSaid = [hostname, ip, mac, dns].some((value) => value !== undefined)
  if (!isSaid) return { scale, ...(identity === undefined ? {} : { identity }) }
  const changed = {
    hostname: hostname === undefined ? (identity?.hostname ?? null) : parseHostname(hostname),
    ip: ip === undefined ? (identity?.ip ?? null) : formatIpv4(parseIpv4(ip)),
    mac: mac === undefined ? (identity?.mac ?? null) : parseMac(mac),
    dns: dns === undefined ? (identity?.dns ?? []) : dns.map((one) => formatIpv4(parseIpv4(one))),
  }
  // Whoever asks for one address on the command line asks for one instance.
  const isOne = (ip ?? mac) !== undefined
  return {
    identity: changed,
    scale: isOne ? { ...scale, min: Math.min(scale.min, 1), max: 1 } : scale,
  }
}

/** What an isolation has unless given goes with it; what was chosen stays. */
function startTimeoutOf({ limits, isolation: before }: TaskSpec, after: Isolation): number {
  const isChosen = limits.startTimeoutMs !== START_TIMEOUT_MS[before]
  return isChosen ? limits.startTimeoutMs : START_TIMEOUT_MS[after]
}
