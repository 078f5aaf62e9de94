/**
 * What the proxy knows of tasks, revisions and instances: what control said last, and what is in flight.
 *
 * A new message from control is merged by name, number and id, so that counts and connections survive. Instances that
 * control no longer lists are not chosen again; their requests end as they may. Choosing is the activator's work.
 */

import type { StartKind } from '../core/instance.ts'
import type { Carried, ErrorBody, InstanceRoute, RevisionRoute } from '../core/link.ts'
import type { TaskCounters, TaskRoute } from '../core/link.ts'
import { SharedParts } from '../core/shared.ts'

import { Pool, type StreamOpener } from './upstream/pool.ts'

/** How streams into an instance are opened; closed when control no longer lists the instance and nothing is in flight. */
export interface InstanceStreams extends StreamOpener {
  close(): void
}

export type OpenStreams = (endpoint: InstanceRoute['endpoint']) => InstanceStreams

/** An instance that could not be reached is tried again after this, unless control says something earlier. */
const SUSPECT_MS = 1000

/** How long an answer waits for control to say why an instance ended. */
const EXIT_WAIT_MS = 300

/** What broke within this time after an instance lost its requests was one of them. */
const LOSS_MS = 500

export class Instance {
  readonly id: string
  readonly task: string
  route: InstanceRoute
  inFlight = 0
  requests = 0
  /** `performance.now()` of the last end of a request, or of the first sight. */
  idleSinceMs: number
  /** `drained`: control was told that nothing goes there any more. `retiring`: it will be told. */
  drain: 'none' | 'drained' | 'retiring' = 'none'
  isListed = true
  /** How it came to run, and since when as far as we know. */
  startKind: StartKind
  runningSinceMs: number
  /** Its next request is the first one since it came to run. */
  isFresh = true
  #suspectUntilMs = 0
  #exit: ErrorBody | null = null
  #loss: { readonly error: ErrorBody; readonly untilMs: number } | null = null
  readonly #mourners = new Set<(error: ErrorBody) => void>()
  readonly #openStreams: OpenStreams
  #streams: InstanceStreams | undefined
  readonly #pools = new Map<number, Pool>()

  constructor(task: string, route: InstanceRoute, openStreams: OpenStreams, nowMs: number) {
    this.id = route.id
    this.task = task
    this.route = route
    this.#openStreams = openStreams
    this.idleSinceMs = nowMs
    this.runningSinceMs = nowMs
    this.startKind = route.state === 'running' ? route.startKind : 'resumed'
  }

  /** Why it ended, or lost its requests: calls back at once if that is known, soon when control says so, or with null after a moment. */
  whenExited(callback: (error: ErrorBody | null) => void): void {
    const isLost = this.#loss !== null && performance.now() < this.#loss.untilMs
    const known = this.#exit ?? (isLost ? this.#loss?.error : null) ?? null
    if (known !== null) {
      callback(known)
      return
    }
    const timer = setTimeout(() => {
      this.#mourners.delete(tell)
      callback(null)
    }, EXIT_WAIT_MS)
    const tell = (error: ErrorBody): void => {
      clearTimeout(timer)
      callback(error)
    }
    this.#mourners.add(tell)
  }

  /** Control says that it ended by itself. */
  exit(error: ErrorBody): void {
    this.#exit = error
    this.#tellMourners(error)
  }

  /** Control says that it lost the requests it had: whoever is one of them has noticed, or will in a moment. */
  lose(error: ErrorBody): void {
    this.#loss = { error, untilMs: performance.now() + LOSS_MS }
    this.#tellMourners(error)
  }

  #tellMourners(error: ErrorBody): void {
    const mourners = [...this.#mourners]
    this.#mourners.clear()
    for (const tell of mourners) tell(error)
  }

  isUsable(nowMs: number): boolean {
    return (
      this.route.state === 'running' &&
      this.isListed &&
      this.#exit === null &&
      this.drain === 'none' &&
      nowMs >= this.#suspectUntilMs
    )
  }

  /** Control listed it (again): what it says replaces what we suspected. */
  update(route: InstanceRoute, nowMs: number): void {
    const wasRunning = this.route.state === 'running' && this.drain === 'none'
    this.route = route
    this.isListed = true
    this.#suspectUntilMs = 0
    if (route.state === 'paused') {
      this.closePools()
      return
    }
    if (this.drain === 'retiring') return
    this.drain = 'none'
    if (wasRunning) return
    this.startKind = 'resumed'
    this.runningSinceMs = nowMs
    this.isFresh = true
  }

  suspect(nowMs: number): void {
    this.#suspectUntilMs = nowMs + SUSPECT_MS
    this.closePools()
  }

  get streams(): StreamOpener {
    this.#streams ??= this.#openStreams(this.route.endpoint)
    return this.#streams
  }

  pool(port: number): Pool {
    const known = this.#pools.get(port)
    if (known !== undefined) return known
    const pool = new Pool(this.streams, port)
    this.#pools.set(port, pool)
    return pool
  }

  /** Closes idle connections: a server's keep-alive timers fire when it is resumed. */
  closePools(): void {
    for (const pool of this.#pools.values()) pool.close()
    this.#pools.clear()
    if (this.inFlight > 0) return
    this.#streams?.close()
    this.#streams = undefined
  }
}

/** What control says of a revision, beside its instances. */
export type RevisionSettings = Omit<RevisionRoute, 'instances'>

/** What control says of a task, beside its revisions. */
export type TaskSettings = Omit<TaskRoute, 'revisions'>

const NO_INSTANCES: readonly Instance[] = []

export class Revision {
  readonly task: Task
  route: RevisionSettings
  /** The oldest first. */
  instances = NO_INSTANCES

  constructor(task: Task, route: RevisionSettings) {
    this.task = task
    this.route = route
  }

  get number(): number {
    return this.route.revision
  }
}

function buildCounters() {
  return {
    requests: 0,
    statuses: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
    bytesIn: 0,
    bytesOut: 0,
    starts: { cold: 0, pooled: 0, restored: 0, resumed: 0, warm: 0 } satisfies Record<
      StartKind,
      number
    >,
  }
}

export class Task {
  readonly name: string
  route: TaskSettings
  /** The current one first. */
  revisions: readonly Revision[] = []
  #counters: ReturnType<typeof buildCounters> | undefined

  constructor(route: TaskSettings) {
    this.name = route.task
    this.route = route
  }

  /** Made on first use: most tasks sleep. */
  get counters(): ReturnType<typeof buildCounters> {
    this.#counters ??= buildCounters()
    return this.#counters
  }

  /** Goes on from what another proxy had counted. */
  carry({ statuses, starts, ...sums }: TaskCounters): void {
    const fresh = buildCounters()
    this.#counters = {
      ...sums,
      statuses: { ...fresh.statuses, ...statuses },
      starts: { ...fresh.starts, ...starts },
    }
  }

  /** There is something to report of it. */
  get isCounted(): boolean {
    return this.#counters !== undefined
  }

  countStatus(status: number): void {
    const { statuses } = this.counters
    if (status >= 200 && status < 300) statuses['2xx'] += 1
    else if (status >= 500) statuses['5xx'] += 1
    else if (status >= 400) statuses['4xx'] += 1
    else if (status >= 300) statuses['3xx'] += 1
    else statuses['1xx'] += 1
  }
}

export class Fleet {
  readonly #tasks = new Map<string, Task>()
  readonly #instances = new Map<string, Instance>()
  readonly #openStreams: OpenStreams
  /** Of ten thousand tasks that sleep, most have the settings that nobody wrote. */
  readonly #parts = new SharedParts()

  constructor(openStreams: OpenStreams) {
    this.#openStreams = openStreams
  }

  get tasks(): ReadonlyMap<string, Task> {
    return this.#tasks
  }

  /** Every instance that is listed or has something in flight. */
  get instances(): ReadonlyMap<string, Instance> {
    return this.#instances
  }

  /** Merges what control says of a task. Revisions that it no longer lists keep their object and lose their instances. */
  update(route: TaskRoute): Task {
    const nowMs = performance.now()
    const { revisions, ...settings } = route
    const task = this.#tasks.get(route.task) ?? new Task(settings)
    this.#tasks.set(task.name, task)
    const before = task.revisions
    const dropped = new Set(before.flatMap(({ instances }) => instances))
    task.route = { ...settings, publish: this.#parts.share(settings.publish) }
    task.revisions = revisions.map(({ instances, ...shared }) => {
      const revisionSettings = this.#parts.share(shared)
      const known = before.find(({ number }) => number === shared.revision)
      const revision = known ?? new Revision(task, revisionSettings)
      revision.route = revisionSettings
      const listed = instances.map((instance) => this.#merge(task, instance, nowMs))
      for (const instance of listed) dropped.delete(instance)
      revision.instances = listed.length === 0 ? NO_INSTANCES : listed
      return revision
    })
    for (const revision of before)
      if (!task.revisions.includes(revision)) revision.instances = NO_INSTANCES
    for (const instance of dropped) this.#unlist(instance)
    return task
  }

  /** Goes on from what another proxy had counted; before anything is counted here. */
  carry({ tasks, instances }: Carried): void {
    for (const [name, counters] of Object.entries(tasks)) this.#tasks.get(name)?.carry(counters)
    for (const [id, requests] of Object.entries(instances)) {
      const instance = this.#instances.get(id)
      if (instance !== undefined) instance.requests = requests
    }
  }

  remove(name: string): Task | undefined {
    const task = this.#tasks.get(name)
    if (task === undefined) return undefined
    this.#tasks.delete(name)
    for (const revision of task.revisions) {
      for (const instance of revision.instances) this.#unlist(instance)
      revision.instances = NO_INSTANCES
    }
    task.revisions = []
    return task
  }

  /** The last request of an instance that control no longer lists has ended. */
  forget(instance: Instance): void {
    if (instance.isListed || instance.inFlight > 0) return
    instance.closePools()
    if (this.#instances.get(instance.id) === instance) this.#instances.delete(instance.id)
  }

  #merge(task: Task, listed: InstanceRoute, nowMs: number): Instance {
    const known = this.#instances.get(listed.id)
    if (known !== undefined) {
      known.update(listed, nowMs)
      return known
    }
    const instance = new Instance(task.name, listed, this.#openStreams, nowMs)
    this.#instances.set(listed.id, instance)
    return instance
  }

  #unlist(instance: Instance): void {
    instance.isListed = false
    instance.closePools()
    this.forget(instance)
  }
}
