/**
 * Which revision takes a request, and which instance it would rather have: traffic by percent, and stickiness.
 *
 * Sticky requests keep their revision as long as it takes traffic, and their instance as long as it runs and has room.
 * With `cookie` the browser remembers both; with `client` they follow from the client's address, without any memory.
 */

import { createHash } from 'node:crypto'

import type { Instance, Revision, Task } from './fleet.ts'

export interface Choice {
  readonly revision: Revision
  readonly preferred: Instance | null
}

/**
 * @param cookies  the request's `Cookie` header
 * @param random  in [0, 1)
 * @returns null when no revision takes traffic
 */
export function chooseRevision(
  task: Task,
  cookies: string | undefined,
  client: string,
  random: () => number,
): Choice | null {
  if (task.route.sticky === 'cookie') {
    const remembered = findRemembered(task, cookies)
    if (remembered !== null) return remembered
  }
  if (task.route.sticky === 'client') return chooseByClient(task, client)
  const revision = chooseByShare(task, random)
  return revision === null ? null : { revision, preferred: null }
}

/** The cookie's value for an instance: nothing can be learned from it, and a forged one only chooses among what is public. */
export function cookieValue(revision: Revision, instance: Instance): string {
  return `${revision.number}.${digest(`${revision.task.name}/${instance.id}`)}`
}

/** `Set-Cookie` for a value. */
export function formatCookie(value: string, isSecure: boolean): string {
  const attributes = 'Path=/; HttpOnly; SameSite=Lax'
  return `quiver_instance=${value}; ${attributes}${isSecure ? '; Secure' : ''}`
}

export function readCookie(cookies: string | undefined): string | null {
  if (cookies === undefined) return null
  const [, value] = /(?:^|;)\s*quiver_instance=([\w.-]{1,64})/.exec(cookies) ?? []
  return value ?? null
}

function findRemembered(task: Task, cookies: string | undefined): Choice | null {
  const value = readCookie(cookies)
  if (value === null) return null
  const number = Number.parseInt(value, 10)
  const revision = task.revisions.find((one) => one.number === number && one.route.percent > 0)
  if (revision === undefined) return null
  const preferred = revision.instances.find((one) => cookieValue(revision, one) === value)
  return { revision, preferred: preferred ?? null }
}

function chooseByClient(task: Task, client: string): Choice | null {
  const point = Number.parseInt(hash(`${task.name}/${client}`).slice(0, 8), 16) / 2 ** 32
  const revision = chooseByShare(task, () => point)
  if (revision === null) return null
  // Rendezvous hashing: when an instance comes or goes, only its own clients move.
  let preferred: Instance | null = null
  let best = ''
  for (const instance of revision.instances) {
    if (instance.route.state !== 'running') continue
    const weight = hash(`${client}/${instance.id}`)
    if (weight > best) [preferred, best] = [instance, weight]
  }
  return { revision, preferred }
}

function chooseByShare(task: Task, random: () => number): Revision | null {
  const [current] = task.revisions
  if (current === undefined) return null
  if (current.route.percent === 100) return current
  let point = random() * 100
  for (const revision of task.revisions) {
    point -= revision.route.percent
    if (point < 0) return revision
  }
  return current
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}
