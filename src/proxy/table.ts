/**
 * Which task a request belongs to: hosts first (exact, then the longest suffix, then any), then paths (path-tree.ts).
 *
 * A host with a more specific name does not hide the others: a path it does not know is looked for in the next one.
 * The path is compared segment by segment, percent-decoded, and forwarded as it came. Where paths decide, dot segments
 * are refused: the instance might resolve them to a path that belongs to another task.
 */

import { parseRoute, type Route } from '../core/route.ts'

import { PathTree, type PathMatch } from './path-tree.ts'

export type Match<T> =
  | PathMatch<T>
  /** No route names this host. */
  | { readonly kind: 'host' }

interface HostRoutes<T> {
  readonly routes: { readonly route: Route; readonly value: T }[]
  /** Built when it is needed first; null after a change. */
  tree: PathTree<T> | null
}

const HOSTS_CACHED_MAX = 16_384

export class RouteTable<T> {
  readonly #exact = new Map<string, HostRoutes<T>>()
  readonly #below = new Map<string, HostRoutes<T>>()
  readonly #any: HostRoutes<T> = { routes: [], tree: null }
  readonly #owned = new Map<T, readonly Route[]>()
  /** Hosts as they were written, to the hosts that may take them. */
  #cache = new Map<string, readonly HostRoutes<T>[]>()

  /**
   * Replaces the routes of one owner.
   *
   * @param texts  as control published them, checked by control
   */
  set(value: T, texts: readonly string[]): void {
    this.delete(value)
    const routes = texts.map(parseRoute)
    this.#owned.set(value, routes)
    for (const route of routes) {
      const host = this.#open(route)
      host.routes.push({ route, value })
      host.tree = null
    }
    this.#cache = new Map()
  }

  delete(value: T): void {
    for (const route of this.#owned.get(value) ?? []) {
      const host = this.#open(route)
      const index = host.routes.findIndex((entry) => entry.value === value)
      host.routes.splice(index, 1)
      host.tree = null
      if (host.routes.length === 0) this.#close(route)
    }
    this.#owned.delete(value)
    this.#cache = new Map()
  }

  /**
   * @param host  of the request, as written: with or without a port, in any case
   * @param path  of the request, as written, without the query
   */
  match(method: string, host: string, path: string): Match<T> {
    let best: Match<T> = { kind: 'host' }
    for (const routes of this.#candidates(host)) {
      const match = buildTree(routes).match(method, path)
      if (match.kind === 'found' || match.kind === 'ambiguous') return match
      if (best.kind !== 'method') best = match
    }
    return best
  }

  #candidates(host: string): readonly HostRoutes<T>[] {
    const cached = this.#cache.get(host)
    if (cached !== undefined) return cached
    const candidates = this.#find(normaliseHost(host))
    if (this.#cache.size >= HOSTS_CACHED_MAX) this.#cache.clear()
    this.#cache.set(host, candidates)
    return candidates
  }

  #find(name: string): readonly HostRoutes<T>[] {
    const found = [this.#exact.get(name)]
    let dot = name.startsWith('[') ? -1 : name.indexOf('.')
    while (dot !== -1) {
      found.push(this.#below.get(name.slice(dot + 1)))
      dot = name.indexOf('.', dot + 1)
    }
    found.push(this.#any)
    return found.filter((routes) => routes !== undefined)
  }

  #open({ host }: Route): HostRoutes<T> {
    if (host.kind === 'any') return this.#any
    const [hosts, name] =
      host.kind === 'exact' ? [this.#exact, host.name] : [this.#below, host.suffix]
    const known = hosts.get(name)
    if (known !== undefined) return known
    const opened = { routes: [], tree: null }
    hosts.set(name, opened)
    return opened
  }

  #close({ host }: Route): void {
    if (host.kind === 'exact') this.#exact.delete(host.name)
    if (host.kind === 'below') this.#below.delete(host.suffix)
  }
}

function buildTree<T>(host: HostRoutes<T>): PathTree<T> {
  if (host.tree !== null) return host.tree
  host.tree = new PathTree<T>()
  for (const { route, value } of host.routes) host.tree.add(route, value)
  return host.tree
}

/** Lower case, without port and without the dot of a full name. */
function normaliseHost(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

const HOST = /^(?:[\w~!$&'()*+,;=.%-]*|\[[\da-f:.]+\])(?::\d{1,5})?$/i

/** Whether the text may stand in a `Host` header: RFC 9110, section 7.2. */
export function isHost(text: string): boolean {
  return text !== '' && HOST.test(text)
}
