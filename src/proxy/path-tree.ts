/**
 * The routes of one host, found by path and method: literals before parameters before the end of a path before rests,
 * as `compareSpecificity` orders them (core/route.ts), in time that does not depend on how many routes there are.
 */

import { splitPath, type Route } from '../core/route.ts'

export interface Found<T> {
  readonly kind: 'found'
  readonly value: T
  readonly params: Readonly<Record<string, string>>
}

export type PathMatch<T> =
  | Found<T>
  /** The path is known, the method is not: those that are. */
  | { readonly kind: 'method'; readonly allowed: ReadonlySet<string> }
  | { readonly kind: 'path' }
  /** The path has dot segments, so that the instance might see another path than the one compared here. */
  | { readonly kind: 'ambiguous' }

interface Leaf<T> {
  readonly names: readonly string[]
  readonly value: T
}

class Node<T> {
  literals: Map<string, Node<T>> | null = null
  param: Node<T> | null = null
  /** By method; the empty string stands for every other. */
  end: Map<string, Leaf<T>> | null = null
  rest: Map<string, Leaf<T>> | null = null
}

const NO_PARAMS: Readonly<Record<string, string>> = {}

/** A dot segment, also one that appears when an encoded slash is decoded. */
const DOT_SEGMENT = /(?:^|[/\\])\.\.?(?:$|[/\\])/

export class PathTree<T> {
  readonly #root = new Node<T>()
  /** Not null: every request is its own, whatever its path. */
  #whole: Found<T> | null = null
  #count = 0

  /** The first of two routes that conflict stays; control refuses such routes, so this does not happen. */
  add(route: Route, value: T): void {
    this.#count += 1
    const isWhole = route.method === null && route.segments[0]?.kind === 'rest'
    this.#whole = isWhole && this.#count === 1 ? { kind: 'found', value, params: NO_PARAMS } : null
    let node = this.#root
    const names: string[] = []
    for (const segment of route.segments) {
      if (segment.kind === 'literal') {
        node.literals ??= new Map()
        const next = node.literals.get(segment.text) ?? new Node<T>()
        node.literals.set(segment.text, next)
        node = next
        continue
      }
      names.push(segment.name)
      if (segment.kind === 'rest') break
      node.param ??= new Node()
      node = node.param
    }
    const isRest = route.segments.at(-1)?.kind === 'rest'
    const leaves = (isRest ? node.rest : node.end) ?? new Map<string, Leaf<T>>()
    if (isRest) node.rest = leaves
    else node.end = leaves
    const method = route.method ?? ''
    if (!leaves.has(method)) leaves.set(method, { names, value })
  }

  /** @param path  as in the request, without the query */
  match(method: string, path: string): PathMatch<T> {
    if (this.#whole !== null) return this.#whole
    const segments = splitPath(path)
    if (segments.some((segment) => segment.includes('.') && DOT_SEGMENT.test(segment))) {
      return { kind: 'ambiguous' }
    }
    const search = new Search<T>(method, segments)
    const leaf = search.visit(this.#root, 0)
    if (leaf !== null) return { kind: 'found', value: leaf.value, params: search.params(leaf) }
    if (search.allowed.size > 0) return { kind: 'method', allowed: search.allowed }
    return { kind: 'path' }
  }
}

/** One walk through the tree, most specific branch first, back where a branch has no end. */
class Search<T> {
  readonly allowed = new Set<string>()
  readonly #method: string
  readonly #segments: readonly string[]
  readonly #values: string[] = []

  constructor(method: string, segments: readonly string[]) {
    this.#method = method
    this.#segments = segments
  }

  visit(node: Node<T>, index: number): Leaf<T> | null {
    const segment = this.#segments[index]
    if (segment === undefined) {
      return this.#pick(node.end) ?? this.#pickRest(node, index)
    }
    const literal = node.literals?.get(segment)
    const found = literal === undefined ? null : this.visit(literal, index + 1)
    if (found !== null) return found
    if (node.param !== null && segment !== '') {
      this.#values.push(segment)
      const below = this.visit(node.param, index + 1)
      if (below !== null) return below
      this.#values.pop()
    }
    return this.#pickRest(node, index)
  }

  params(leaf: Leaf<T>): Readonly<Record<string, string>> {
    if (leaf.names.length === 0) return NO_PARAMS
    const named = leaf.names.map((name, index) => [name, this.#values[index] ?? ''] as const)
    return Object.fromEntries(named.filter(([name]) => name !== ''))
  }

  #pickRest(node: Node<T>, index: number): Leaf<T> | null {
    const leaf = this.#pick(node.rest)
    if (leaf !== null) this.#values.push(this.#segments.slice(index).join('/'))
    return leaf
  }

  #pick(leaves: Map<string, Leaf<T>> | null): Leaf<T> | null {
    if (leaves === null) return null
    const leaf =
      leaves.get(this.#method) ?? (this.#method === 'HEAD' ? leaves.get('GET') : undefined)
    const any = leaf ?? leaves.get('')
    if (any !== undefined) return any
    for (const method of leaves.keys()) {
      this.allowed.add(method)
      if (method === 'GET') this.allowed.add('HEAD')
    }
    return null
  }
}
