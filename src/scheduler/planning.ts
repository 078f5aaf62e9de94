/** From a revision to what a driver is told: identity, environment, relays, grants. Pure but for randomness. */

import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'

import type { Grant, GrantTarget } from '../core/link.ts'
import { isWildcard, listNamedHosts } from '../core/outside-host.ts'
import { hostnameOf, reachesDeclared, type Revision, type TaskSpec } from '../core/task.ts'
import type {
  BridgeInterface,
  InstancePlan,
  Mount,
  Relay,
  StdioPlan,
  Wildcard,
} from '../drivers/driver.ts'
import type { StoredBinary } from '../images/images.ts'

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
/** Relay addresses begin here: 127.0.0.1 is the task's own. */
const RELAY_ADDRESS_FIRST = 2

export const NO_STDIO: StdioPlan = { isTerminal: false, isHeld: false, hasStdin: false }

export function planInstance(
  revision: Revision,
  facts: {
    readonly binary: StoredBinary
    readonly binaryTree: string
    readonly imageTree: string
    readonly uidIndex: number
    readonly stdio: StdioPlan
    readonly mounts: readonly Mount[]
    readonly isRun: boolean
    readonly bridge?: BridgeInterface
  },
): InstancePlan {
  const { spec, task, number } = revision
  const id = `${task}-${number}-${randomName()}`
  const { binary, ...rest } = facts
  return {
    ...rest,
    id,
    task,
    revision: number,
    spec,
    entry: binary.config.entry,
    env: planEnv(spec, binary, id),
    relays: planRelays(spec),
    wildcards: planWildcards(spec),
    token: randomBytes(16).toString('hex'),
  }
}

/** What the program sees, and what other processes in its instance begin with. */
export function planEnv(
  spec: TaskSpec,
  binary: StoredBinary,
  id: string,
): Readonly<Record<string, string>> {
  return { ...defaultEnv(spec), ...binary.config.env, ...spec.env, ...ownEnv(spec, id) }
}

/** The task's name in an instance's id, `<task>-<revision>-<6 base32 characters>`. */
export function taskOfInstance(id: string): string {
  return id.replace(/-\d+-[a-z2-7]{6}$/, '')
}

/** One address for each name; several ports of a name share it. What is declared by its address keeps it. */
export function planRelays(spec: TaskSpec): readonly Relay[] {
  if (!reachesDeclared(spec)) return []
  const addresses = new Map<string, string>()
  const tasks = spec.connect.map(({ as, port }) => ({ host: as, port }))
  return [...tasks, ...listNamedHosts(spec.allow)].map(({ host: name, port }) => {
    const address = isIP(name) === 0 ? (addresses.get(name) ?? relayAddress(addresses.size)) : name
    addresses.set(name, address)
    return { name, address, port }
  })
}

/** What has no name yet: ainit gives each name an address when it is asked for. */
export function planWildcards(spec: TaskSpec): readonly Wildcard[] {
  if (!reachesDeclared(spec)) return []
  return spec.allow
    .filter(({ host }) => isWildcard(host))
    .map(({ host, port }) => ({ pattern: host, port }))
}

export function planGrant(plan: InstancePlan): Grant {
  const targets = reachesDeclared(plan.spec) ? planTargets(plan.spec) : []
  return { instance: plan.id, task: plan.task, token: plan.token, targets }
}

function planTargets(spec: TaskSpec): readonly GrantTarget[] {
  const hosts = spec.allow.map(
    ({ host, port }) =>
      ({ kind: 'host', name: host, port, isPrivateAllowed: isIP(host) !== 0 }) as const,
  )
  const tasks = spec.connect.map(
    ({ as, port, task, kind }) => ({ kind: 'task', name: as, port, task, protocol: kind }) as const,
  )
  return [...tasks, ...hosts]
}

function relayAddress(index: number): string {
  const number = RELAY_ADDRESS_FIRST + index
  return `127.0.${Math.floor(number / 256)}.${number % 256}`
}

/** Anything may override these. */
function defaultEnv(spec: TaskSpec): Record<string, string> {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin',
    HOME: spec.isWritable ? '/app' : '/tmp',
    LANG: 'C.UTF-8',
    HOSTNAME: hostnameOf(spec),
  }
}

/** Nothing may override these: they are what the platform promises. */
function ownEnv(spec: TaskSpec, id: string): Record<string, string> {
  return {
    ...(spec.http === null ? {} : { PORT: String(spec.http.port) }),
    QUIVER_TASK: spec.name,
    QUIVER_INSTANCE: id,
  }
}

function randomName(): string {
  return [...randomBytes(6)].map((byte) => BASE32[byte % BASE32.length]).join('')
}
