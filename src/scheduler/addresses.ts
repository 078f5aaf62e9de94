/**
 * Who has which address on the node's bridge. A task has a place in the subnet for each instance that it may have, from its
 * deployment on: they are known before anything starts, and are nobody else's while the task exists. Each instance takes one
 * that no other of its task has; where there is none left, the one that it is going to inherit.
 */

import { QuiverError } from '../core/error.ts'
import { macOf } from '../core/identity.ts'
import { formatIpv4, parseIpv4, sizeOf } from '../core/ipv4.ts'
import { isOnlyOne, type Task, type TaskSpec } from '../core/task.ts'
import type { NodeBridge } from '../drivers/bridge.ts'
import type { BridgeInterface, Instance } from '../drivers/driver.ts'

import { assertIdentity, type Neighbour } from './neighbours.ts'
import type { TaskRegistry } from './registry.ts'

/** Of a deployment that is under way: others are refused these until it is disposed. */
export interface Assignment extends Disposable {
  /** For the task's record: nothing for a task that was never on the bridge. */
  readonly record: Pick<Task, 'bridgePlaces'>
}

/** What an instance has; disposed when it has ended. */
export interface TakenAddress extends Disposable {
  readonly interface: BridgeInterface
}

/** The network's own address, and the one that gateways usually have. */
const PLACES_KEPT = 2

export class AddressBook {
  readonly #bridge: NodeBridge
  readonly #registry: Pick<TaskRegistry, 'get' | 'list' | 'current'>
  readonly #claims = new Map<string, Neighbour>()
  /** By place: the task of each live instance there. */
  readonly #live = new Map<number, readonly string[]>()

  constructor(bridge: NodeBridge, registry: Pick<TaskRegistry, 'get' | 'list' | 'current'>) {
    this.#bridge = bridge
    this.#registry = registry
  }

  /**
   * Finds places for all instances that a task may have; those that it has stay its own where they fit.
   *
   * @param instances  as many at least; null: as its manifest says
   * @throws QuiverError as `NodeBridge.check` and `assertIdentity`; `resource_exhausted/ADDRESSES_EXHAUSTED`
   */
  async assign(spec: TaskSpec, kind: Task['kind'], instances: number | null): Promise<Assignment> {
    const task = this.#registry.get(spec.name)
    const count = kind === 'run' ? 1 : Math.max(spec.scale.max, instances ?? 0)
    if (spec.network === 'bridge') await this.#bridge.check()
    // What follows is one turn of the event loop: of two deployments at once, the second hears of the first.
    const neighbours = this.#neighbours(spec.name)
    assertIdentity(spec, count, this.#bridge, neighbours)
    if (spec.network !== 'bridge') return { record: {}, [Symbol.dispose]: () => {} }
    const before = task?.bridgePlaces ?? []
    const places = this.#find(spec, isOnlyOne(spec) ? 1 : count, before, neighbours)
    const claim = { spec, places }
    this.#claims.set(spec.name, claim)
    const release = (): void => {
      if (this.#claims.get(spec.name) === claim) this.#claims.delete(spec.name)
    }
    return { record: { bridgePlaces: places }, [Symbol.dispose]: release }
  }

  /** As `assign`, for a task that is there. @param spec  what it is going to be; its current one unless given */
  async assignTo(
    task: Task,
    instances: number | null,
    spec = this.#registry.current(task)?.spec,
  ): Promise<Assignment> {
    if (spec === undefined) return { record: {}, [Symbol.dispose]: () => {} }
    return await this.assign(spec, task.kind, instances)
  }

  /** When the node starts: the subnet may be another one than before. Whoever cannot be on the bridge now, its start tells. */
  async renew(task: Task, registry: Pick<TaskRegistry, 'save'>): Promise<void> {
    try {
      using assigned = await this.assignTo(task, task.instances)
      const { bridgePlaces } = assigned.record
      if (String(bridgePlaces ?? '') === String(task.bridgePlaces ?? '')) return
      if (bridgePlaces !== undefined) await registry.save({ ...task, bridgePlaces })
    } catch {
      // Deployed again it is told the same, by somebody who can do something about it.
    }
  }

  /** What the instances of a task may have, in the order in which they take it. */
  list(spec: TaskSpec, places: readonly number[] | undefined): readonly BridgeInterface[] {
    if (spec.network !== 'bridge') return []
    return (places ?? []).map((place) => this.#interface(spec, place))
  }

  /**
   * For an instance that is being prepared; undefined when it is not to be on the bridge.
   *
   * @throws QuiverError `failed_precondition/IP_OUTSIDE` when the subnet is another one by now
   */
  take(task: Task, spec: TaskSpec): TakenAddress | undefined {
    if (spec.network !== 'bridge') return undefined
    const places = this.#placesOf(task, spec)
    const liveAt = (place: number): number => this.#live.get(place)?.length ?? 0
    const [first, ...rest] = places
    if (first === undefined) throw noAddress(spec)
    // Of several that are equally free, the first.
    const place = rest.reduce((best, other) => (liveAt(other) < liveAt(best) ? other : best), first)
    return { interface: this.#interface(spec, place), ...this.#hold(place, task.name) }
  }

  /** An instance that an earlier control process started. */
  adopt({ plan, exited }: Instance): void {
    if (plan.bridge === undefined) return
    const place = parseIpv4(plan.bridge.address) - this.#bridge.subnet.base
    const held = this.#hold(place, plan.task)
    void exited.then(() => held[Symbol.dispose]())
  }

  #hold(place: number, task: string): Disposable {
    this.#live.set(place, [...(this.#live.get(place) ?? []), task])
    const release = (): void => {
      const others = [...(this.#live.get(place) ?? [])]
      others.splice(others.indexOf(task), 1)
      if (others.length === 0) this.#live.delete(place)
      else this.#live.set(place, others)
    }
    return { [Symbol.dispose]: release }
  }

  #placesOf(task: Task, spec: TaskSpec): readonly number[] {
    const ip = spec.identity?.ip ?? null
    if (ip === null) return (task.bridgePlaces ?? []).filter((place) => this.#isInRange(place))
    assertIdentity(spec, 1, this.#bridge, [])
    return [this.#place(ip)]
  }

  #find(
    spec: TaskSpec,
    count: number,
    before: readonly number[],
    neighbours: readonly Neighbour[],
  ): readonly number[] {
    const ip = spec.identity?.ip ?? null
    if (ip !== null) return [this.#place(ip)]
    const taken = new Set(neighbours.flatMap(({ places }) => places))
    const macs = new Set(neighbours.map((other) => other.spec.identity?.mac ?? null))
    const isFree = (place: number): boolean =>
      !taken.has(place) &&
      !macs.has(macOf(this.#bridge.subnet.base + place)) &&
      this.#isFreeOfOthers(place, spec.name)
    const places = before.filter((place) => this.#isInRange(place) && isFree(place)).slice(0, count)
    const kept = new Set(places)
    for (const place of this.#range()) {
      if (places.length === count) return places
      if (!kept.has(place) && isFree(place)) places.push(place)
    }
    if (places.length === count) return places
    throw exhausted(spec, count)
  }

  /** An instance may still have what its task has given back. */
  #isFreeOfOthers(place: number, task: string): boolean {
    return (this.#live.get(place) ?? []).every((owner) => owner === task)
  }

  *#range(): Iterable<number> {
    const { subnet, range } = this.#bridge
    const first = range.base - subnet.base
    for (let place = first; place < first + sizeOf(range); place++) {
      if (this.#isInRange(place)) yield place
    }
  }

  #isInRange(place: number): boolean {
    const { subnet, range, gateway } = this.#bridge
    const first = range.base - subnet.base
    const isWithin = place >= first && place < first + sizeOf(range)
    const isKept = place < PLACES_KEPT || place === sizeOf(subnet) - 1
    return isWithin && !isKept && subnet.base + place !== gateway
  }

  /** All other tasks that have places, and those that are about to. */
  #neighbours(name: string): readonly Neighbour[] {
    const known = this.#registry.list().flatMap((task): Neighbour[] => {
      const spec = this.#registry.current(task)?.spec
      if (spec === undefined || task.bridgePlaces === undefined) return []
      return [{ spec, places: task.bridgePlaces }]
    })
    return [...known, ...this.#claims.values()].filter(({ spec }) => spec.name !== name)
  }

  #place(ip: string): number {
    return parseIpv4(ip) - this.#bridge.subnet.base
  }

  #interface({ identity }: TaskSpec, place: number): BridgeInterface {
    const { base, prefixBits } = this.#bridge.subnet
    const mac = identity?.mac ?? macOf(base + place)
    return { address: formatIpv4(base + place), prefixBits, mac }
  }
}

function exhausted({ name }: TaskSpec, count: number): QuiverError {
  const message = `the bridge has not ${count} addresses left for ${name}`
  return new QuiverError('resource_exhausted', 'ADDRESSES_EXHAUSTED', message, {
    hint: 'Lower scale.max, remove tasks, or set a larger bridge.subnet or bridge.range in node.toml.',
  })
}

function noAddress({ name }: TaskSpec): QuiverError {
  const message = `${name} has no address on the bridge`
  return new QuiverError('failed_precondition', 'IP_OUTSIDE', message, {
    hint: 'Deploy it again: the subnet of the bridge has changed.',
  })
}
