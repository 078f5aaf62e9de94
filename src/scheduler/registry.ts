/**
 * Tasks and revisions as they are wanted: the durable half of the scheduler's knowledge.
 *
 * Memory mirrors the store: it is filled once and then only by the store's watch, so that what was acknowledged and
 * what is acted upon are the same thing.
 */

import { EventEmitter, once } from 'node:events'

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'
import type { Revision, Task, TaskSpec } from '../core/task.ts'
import type { Operation, Store } from '../store/store.ts'

const TASKS = 'task/'
const REVISIONS = 'revision/'

/** Told of each change of a task, in the order of the store. */
export type OnTaskChange = (name: string, task: Task | undefined) => void

export class TaskRegistry implements AsyncDisposable {
  readonly #store: Store
  readonly #tasks = new Map<string, Task>()
  readonly #storeRevisions = new Map<string, number>()
  readonly #revisions = new Map<string, Map<number, Revision>>()
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
    return this.#tasks.get(name)
  }

  /** @throws QuiverError `not_found/TASK_NOT_FOUND` with the nearest name */
  require(name: string): Task {
    const task = this.#tasks.get(name)
    if (task !== undefined) return task
    const nearest = nearestName(name, this.#tasks.keys())
    const hint =
      nearest === undefined ? 'See "quiver ps" for those there are.' : `Did you mean "${nearest}"?`
    throw new QuiverError('not_found', 'TASK_NOT_FOUND', `there is no task "${name}"`, { hint })
  }

  list(): readonly Task[] {
    return [...this.#tasks.values()]
  }

  /** All that are kept, by number. */
  revisions(name: string): ReadonlyMap<number, Revision> {
    return this.#revisions.get(name) ?? new Map()
  }

  /** The revision that gets most new requests, as far as words go: the first of its traffic. */
  current(task: Task): Revision | undefined {
    return this.revisions(task.name).get(task.traffic[0]?.revision ?? 0)
  }

  /** Others are refused these routes and ports until it is disposed. */
  claim(spec: TaskSpec): Disposable {
    this.#claims.set(spec.name, spec)
    return { [Symbol.dispose]: () => void this.#claims.delete(spec.name) }
  }

  /** Specs of the current revision of all tasks but one, and what others are about to have. */
  *specsOfOthers(name: string): Iterable<TaskSpec> {
    for (const task of this.#tasks.values()) {
      if (task.name === name) continue
      const revision = this.current(task)
      if (revision !== undefined) yield revision.spec
    }
    for (const spec of this.#claims.values()) if (spec.name !== name) yield spec
  }

  /** How many tasks there are, with those that are about to be saved for the first time. */
  get count(): number {
    return this.#tasks.size + this.#promised.size
  }

  /** The smallest index that no task has, for a new task: no other gets it until `keepPromise`. */
  promiseUidIndex(name: string): number {
    const tasks = [...this.#tasks.values()].map(({ uidIndex }) => uidIndex)
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
    const expected = this.#storeRevisions.get(task.name) ?? 0
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
        onChange(name, this.#tasks.get(name))
      }
      this.#seen = revision
      this.#progress.emit('seen')
    }
  }

  #apply(key: string, value: Uint8Array | undefined, storeRevision: number): void {
    if (key.startsWith(TASKS)) {
      const name = key.slice(TASKS.length)
      if (value === undefined) {
        this.#tasks.delete(name)
        this.#storeRevisions.delete(name)
        return
      }
      const task: Task = decode(value)
      this.#tasks.set(name, task)
      this.#storeRevisions.set(name, storeRevision)
    }
    if (key.startsWith(REVISIONS)) {
      const [, name = '', number = ''] = key.split('/')
      const revisions = this.#revisions.get(name) ?? new Map<number, Revision>()
      const revision: Revision | undefined = value === undefined ? undefined : decode(value)
      if (revision === undefined) revisions.delete(Number(number))
      else revisions.set(revision.number, revision)
      if (revisions.size === 0) this.#revisions.delete(name)
      else this.#revisions.set(name, revisions)
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
  return JSON.parse(Buffer.from(bytes).toString())
}
