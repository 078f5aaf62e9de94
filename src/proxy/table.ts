/**
 * Which task a request belongs to: hosts first (exact, then the longest suffix, then any), then paths (path-tree.ts).
 *
 * A host with a more specific name does not hide the others: a path it does not know is looked for in the next one.
 * The path is compared segment by segment, percent-decoded, and forwarded as it came. Where paths decide, dot segments
 * are refused: the instance might resolve them to a path that belongs to another task.
 */

import { parseRoute, type HostPattern } from '../core/route.ts'

import { PathTree, type PathMatch } from './path-tree.ts'

export type Match<T> =
  | PathMatch<T>
  /** No route names this host. */
  | { readonly kind: 'host' }

interface HostRoutes<T> {
  /** As text: a route takes ten times as much, and is needed only where requests come. */
  readonly routes: { readonly text: string; readonly value: T }[]
  /** Built when it is needed first; null after a change. */
  tree: PathTree<T> | null
}

const HOSTS_CACHED_MAX = 16_384

export class RouteTable<T> {
  readonly #exact = new Map<string, HostRoutes<T>>()
  readonly #below = new Map<string, HostRoutes<T>>()
  readonly #any: HostRoutes<T> = { routes: [], tree: null }
  readonly #owned = new Map<T, readonly string[]>()
  /** Hosts as they were written, to the hosts that may take them. */
  #cache = new Map<string, readonly HostRoutes<T>[]>()

  /**
   * Replaces the routes of one owner.
   *
   * @param texts  as control published them, checked by control
   */
  set(value: T, texts: readonly string[]): void {
    this.delete(value)
    // All are read before any counts.
    const routes = texts.map(parseRoute)
    this.#owned.set(value, texts)
    for (const [index, { host }] of routes.entries())
      this.#add(host, { text: texts[index] ?? '', value })
    this.#cache = new Map()
  }

  delete(value: T): void {
    for (const text of this.#owned.get(value) ?? []) this.#remove(parseRoute(text).host, value)
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

  #add(pattern: HostPattern, entry: HostRoutes<T>['routes'][number]): void {
    const host = this.#get(pattern)
    if (host === undefined) {
      this.#set(pattern, { routes: [entry], tree: null })
      return
    }
    host.routes.push(entry)
    host.tree = null
  }

  #remove(pattern: HostPattern, value: T): void {
    const host = this.#get(pattern)
    if (host === undefined) return
    const index = host.routes.findIndex((entry) => entry.value === value)
    host.routes.splice(index, 1)
    host.tree = null
    if (host.routes.length > 0) return
    if (pattern.kind === 'exact') this.#exact.delete(pattern.name)
    if (pattern.kind === 'below') this.#below.delete(pattern.suffix)
  }

  #get(pattern: HostPattern): HostRoutes<T> | undefined {
    if (pattern.kind === 'any') return this.#any
    if (pattern.kind === 'exact') return this.#exact.get(pattern.name)
    return this.#below.get(pattern.suffix)
  }

  #set(pattern: HostPattern, host: HostRoutes<T>): void {
    if (pattern.kind === 'exact') this.#exact.set(pattern.name, host)
    if (pattern.kind === 'below') this.#below.set(pattern.suffix, host)
  }
}

function buildTree<T>(host: HostRoutes<T>): PathTree<T> {
  if (host.tree !== null) return host.tree
  host.tree = new PathTree<T>()
  for (const { text, value } of host.routes) host.tree.add(parseRoute(text), value)
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
