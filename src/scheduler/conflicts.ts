/** What two tasks may not share: routes and published ports. Pure; checked before anything starts. */

import { QuiverError } from '../core/error.ts'
import { parseRoute, routesConflict } from '../core/route.ts'
import type { TaskSpec } from '../core/task.ts'

/**
 * @param others  specs of all revisions of other tasks that get traffic
 * @throws QuiverError `already_exists/ROUTE_TAKEN`, `already_exists/PORT_TAKEN` naming the owner
 */
export function assertNoConflict(spec: TaskSpec, others: Iterable<TaskSpec>): void {
  const routes = (spec.http?.routes ?? []).map((text) => ({ text, route: parseRoute(text) }))
  for (const other of others) {
    for (const taken of other.http?.routes ?? []) {
      const mine = routes.find(({ route }) => routesConflict(route, parseRoute(taken)))
      if (mine !== undefined) throw routeTaken(mine.text, taken, other.name)
    }
    for (const { publish } of other.ports) {
      const isTaken = spec.ports.some((mine) => overlaps(mine.publish, publish))
      if (isTaken && publish !== null) throw portTaken(publish.port, other.name)
    }
  }
}

function overlaps(
  a: { readonly address: string; readonly port: number } | null,
  b: { readonly address: string; readonly port: number } | null,
): boolean {
  if (a === null || b === null || a.port !== b.port) return false
  return a.address === b.address || isAnyAddress(a.address) || isAnyAddress(b.address)
}

function isAnyAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

function routeTaken(route: string, taken: string, owner: string): QuiverError {
  const same = route === taken ? '' : ` (as "${taken}")`
  return new QuiverError(
    'already_exists',
    'ROUTE_TAKEN',
    `the route "${route}" belongs to the task ${owner}${same}`,
    {
      hint: `Choose another route under [http] in quiver.toml, or remove it with "quiver rm ${owner}".`,
      details: { route, owner },
    },
  )
}

function portTaken(port: number, owner: string): QuiverError {
  return new QuiverError(
    'already_exists',
    'PORT_TAKEN',
    `port ${port} of this machine belongs to the task ${owner}`,
    {
      hint: `Publish another port, or remove it with "quiver rm ${owner}".`,
      details: { port, owner },
    },
  )
}
