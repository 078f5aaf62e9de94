/**
 * Tasks and revisions as they are wanted: the durable half of the scheduler's knowledge.
 *
 * Memory mirrors the store: it is filled once and then only by the store's watch, so that what was acknowledged and
 * what is acted upon are the same thing.
 */

import { EventEmitter, once } from 'node:events'

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'
import { SharedParts } from '../core/shared.ts'
import type { Revision, Task, TaskSpec } from '../core/task.ts'
import type { Operation, Store } from '../store/store.ts'

const TASKS = 'task/'
const REVISIONS = 'revision/'

/** Told of each change of a task, in the order of the store. */
export type OnTaskChange = (name: string, task: Task | undefined) => void

/** One name. Ten thousand of them are held while they sleep, so there is one object and no map for each. */
interface Known {
  task: Task | undefined
  /** The store's revision of the task's record; 0: there is none. */
  storeRevision: number
  /** By number. */
  revisions: readonly Revision[]
}

export class TaskRegistry implements AsyncDisposable {
  readonly #store: Store
  readonly #known = new Map<string, Known>()
  readonly #parts = new SharedParts()
  /** Uid indexes of tasks that are about to be saved for the first time, by name. */
  readonly #promised = new Map<string, number>()
  /** What deployments that are under way want to have. */
  readonly #claims = new Map<string, TaskSpec>()
  readonly #ending = new AbortController()
  readonly #progress = new EventEmitter()
  #seen = 0
  #watching: Promise<void> = Promise.resolve()

  constructor(store: Store) {
    this.#store = store
    this.#progress.setMaxListeners(0)
  }

  /** Loads everything, then follows changes; `onChange` hears of later ones only. */
  async open(onChange: OnTaskChange): Promise<void> {
    // Asked for before the list: what comes between is seen twice, which does no harm. The newest of our own entries
    // would not do: the store may have forgotten the changes since then.
    this.#seen = await newestRevision(this.#store)
    for (const prefix of [REVISIONS, TASKS]) {
      for (const entry of await this.#store.list(prefix)) {
        this.#apply(entry.key, entry.value, entry.revision)
      }
    }
    this.#watching = this.#watch(onChange)
  }

  get(name: string): Task | undefined {
    return this.#known.get(name)?.task
  }

  /** @throws QuiverError `not_found/TASK_NOT_FOUND` with the nearest name */
  require(name: string): Task {
    const task = this.get(name)
    if (task !== undefined) return task
    const names = this.list().map((other) => other.name)
    const nearest = nearestName(name, names)
    const hint =
      nearest === undefined ? 'See "quiver ps" for those there are.' : `Did you mean "${nearest}"?`
    throw new QuiverError('not_found', 'TASK_NOT_FOUND', `there is no task "${name}"`, { hint })
  }

  list(): readonly Task[] {
    return [...this.#known.values()].flatMap(({ task }) => task ?? [])
  }

  /** All that are kept, by number. */
  revisions(name: string): ReadonlyMap<number, Revision> {
    const revisions = this.#known.get(name)?.revisions ?? []
    return new Map(revisions.map((revision) => [revision.number, revision]))
  }

  /** The revision that gets most new requests, as far as words go: the first of its traffic. */
  current(task: Task): Revision | undefined {
    const current = task.traffic[0]?.revision
    return this.#known.get(task.name)?.revisions.find(({ number }) => number === current)
  }

  /** Others are refused these routes and ports until it is disposed. */
  claim(spec: TaskSpec): Disposable {
    this.#claims.set(spec.name, spec)
    return { [Symbol.dispose]: () => void this.#claims.delete(spec.name) }
  }

  /** Specs of the current revision of all tasks but one, and what others are about to have. */
  *specsOfOthers(name: string): Iterable<TaskSpec> {
    for (const { task } of this.#known.values()) {
      if (task === undefined || task.name === name) continue
      const revision = this.current(task)
      if (revision !== undefined) yield revision.spec
    }
    for (const spec of this.#claims.values()) if (spec.name !== name) yield spec
  }

  /** How many tasks there are, with those that are about to be saved for the first time. */
  get count(): number {
    return this.list().length + this.#promised.size
  }

  /** The smallest index that no task has, for a new task: no other gets it until `keepPromise`. */
  promiseUidIndex(name: string): number {
    const tasks = this.list().map(({ uidIndex }) => uidIndex)
    const taken = new Set([...tasks, ...this.#promised.values()])
    let index = 0
    while (taken.has(index)) index++
    this.#promised.set(name, index)
    return index
  }

  /** The task is saved, or will not be. */
  keepPromise(name: string): void {
    this.#promised.delete(name)
  }

  /**
   * Writes the task, and with it new or dropped revisions; resolves when this registry has seen it too.
   *
   * @throws QuiverError `failed_precondition/REVISION_CONFLICT` when the task has changed since it was read
   */
  async save(
    task: Task,
    changes: { readonly add?: Revision; readonly drop?: readonly number[] } = {},
  ): Promise<void> {
    const { add, drop = [] } = changes
    // Whoever hears of the task looks for its revisions: they come first.
    const operations: Operation[] = []
    if (add !== undefined)
      operations.push({ kind: 'put', key: revisionKey(add.task, add.number), value: encode(add) })
    for (const number of drop)
      operations.push({ kind: 'delete', key: revisionKey(task.name, number) })
    const expected = this.#known.get(task.name)?.storeRevision ?? 0
    operations.push({ kind: 'put', key: TASKS + task.name, value: encode(task), expected })
    await this.#commit(operations)
  }

  async remove(name: string): Promise<void> {
    const numbers = [...this.revisions(name).keys()]
    await this.#commit([
      { kind: 'delete', key: TASKS + name },
      ...numbers.map((number) => ({ kind: 'delete', key: revisionKey(name, number) }) as const),
    ])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await this.#watching
  }

  async #commit(operations: readonly Operation[]): Promise<void> {
    const revision = await this.#store.commit(operations)
    while (this.#seen < revision) await once(this.#progress, 'seen')
  }

  async #watch(onChange: OnTaskChange): Promise<void> {
    for await (const change of this.#store.watch('', this.#seen, this.#ending.signal)) {
      const { key, revision } = change.kind === 'put' ? change.entry : change
      this.#apply(key, change.kind === 'put' ? change.entry.value : undefined, revision)
      if (key.startsWith(TASKS)) {
        const name = key.slice(TASKS.length)
        onChange(name, this.get(name))
      }
      this.#seen = revision
      this.#progress.emit('seen')
    }
  }

  #apply(key: string, value: Uint8Array | undefined, storeRevision: number): void {
    if (key.startsWith(TASKS)) {
      const task = value === undefined ? undefined : this.#decodeTask(value)
      const known = this.#open(task?.name ?? key.slice(TASKS.length))
      known.task = task
      known.storeRevision = task === undefined ? 0 : storeRevision
      this.#dropEmpty(key.slice(TASKS.length))
    }
    if (key.startsWith(REVISIONS)) {
      const [, name = '', number = ''] = key.split('/')
      const revision = value === undefined ? undefined : this.#decodeRevision(value)
      const known = this.#open(revision?.task ?? name)
      const others = known.revisions.filter((other) => other.number !== Number(number))
      known.revisions = [...others, ...(revision === undefined ? [] : [revision])].toSorted(
        (a, b) => a.number - b.number,
      )
      this.#dropEmpty(name)
    }
  }

  #open(name: string): Known {
    const existing = this.#known.get(name)
    if (existing !== undefined) return existing
    const known: Known = { task: undefined, storeRevision: 0, revisions: [] }
    this.#known.set(name, known)
    return known
  }

  #dropEmpty(name: string): void {
    const known = this.#known.get(name)
    if (known?.task === undefined && known?.revisions.length === 0) this.#known.delete(name)
  }

  #decodeTask(bytes: Uint8Array): Task {
    const task: Task = decode(bytes)
    return { ...task, traffic: this.#parts.share(task.traffic) }
  }

  #decodeRevision(bytes: Uint8Array): Revision {
    const revision: Revision = decode(bytes)
    const { spec, task } = revision
    return {
      ...revision,
      image: this.#parts.share(revision.image),
      spec: {
        ...spec,
        name: task,
        args: this.#parts.share(spec.args),
        env: this.#parts.share(spec.env),
        ports: this.#parts.share(spec.ports),
        scale: this.#parts.share(spec.scale),
        limits: this.#parts.share(spec.limits),
        allow: this.#parts.share(spec.allow),
        connect: this.#parts.share(spec.connect),
        ...(spec.wasm === undefined ? {} : { wasm: this.#parts.share(spec.wasm) }),
      },
    }
  }
}

/** A check that holds, and writes nothing. */
async function newestRevision(store: Store): Promise<number> {
  return await store.commit([{ kind: 'check', key: 'task', expected: 0 }])
}

/** Padded, so that byte order is the order of deployment. */
function revisionKey(task: string, number: number): string {
  return `${REVISIONS}${task}/${String(number).padStart(8, '0')}`
}

function encode(value: Task | Revision): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

/** Its checksum was verified by the store: these bytes are what we wrote. */
function decode(bytes: Uint8Array) {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
}
