/** Which declared target a URL or a task means; everything else is refused, with the line that the manifest lacks. Pure. */

import { QuiverError } from '../../core/error.ts'
import { isCovered } from '../../core/outside-host.ts'
import type { OutsidePlan } from '../protocol.ts'

export interface Target {
  /** As declared: how egress, or the sandbox, knows it. */
  readonly name: string
  readonly port: number
  readonly isSecure: boolean
  /** The task that answers there; null: a host outside. */
  readonly task: string | null
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** @throws QuiverError `permission_denied/HOST_NOT_ALLOWED`, `invalid_argument/URL_INVALID` */
export function findUrlTarget(url: URL, plan: OutsidePlan): Target {
  const isSecure = url.protocol === 'https:'
  const fallback = DEFAULT_PORTS[url.protocol]
  // Brackets are how URLs write IPv6 addresses, and not part of them.
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  if (fallback === undefined || name === '') throw invalidUrl(url)
  const port = url.port === '' ? fallback : Number(url.port)
  const connected = plan.tasks.find((one) => one.name === name && one.port === port)
  if (connected !== undefined) return { name, port, isSecure, task: connected.task }
  const isAllowed = plan.hosts.some(
    (one) => one.port === port && (one.host === name || isCovered(name, one.host)),
  )
  if (isAllowed) return { name, port, isSecure, task: null }
  throw notAllowed(url, name, port, plan)
}

/** @param task  its name, or the one that [[connect]] gave it. @throws QuiverError `permission_denied/TASK_NOT_CONNECTED` */
export function findTaskTarget(task: string, plan: OutsidePlan): Target & { task: string } {
  const found =
    plan.tasks.find(({ name }) => name === task) ?? plan.tasks.find((one) => one.task === task)
  if (found !== undefined) {
    return { name: found.name, port: found.port, isSecure: false, task: found.task }
  }
  const message = `the task ${task} is not connected`
  throw new QuiverError('permission_denied', 'TASK_NOT_CONNECTED', message, {
    hint: `Add to quiver.toml: [[connect]] with task = "${task}".`,
  })
}

function notAllowed(url: URL, name: string, port: number, plan: OutsidePlan): QuiverError {
  const connected = plan.tasks.find((one) => one.name === name)
  const message = `${url.protocol}//${url.host} is not declared`
  const hint =
    connected === undefined
      ? `Add to quiver.toml: allow = ["${url.protocol}//${url.host}"].`
      : `The task ${connected.task} is at http://${name}${connected.port === 80 ? '' : `:${connected.port}`}, and not on port ${port}.`
  return new QuiverError('permission_denied', 'HOST_NOT_ALLOWED', message, { hint })
}

function invalidUrl({ protocol }: URL): QuiverError {
  const message = `${protocol} URLs cannot be fetched`
  return new QuiverError('invalid_argument', 'URL_INVALID', message, {
    hint: 'Use http: or https:.',
  })
}
