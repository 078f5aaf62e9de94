/** The control service's logs: of one instance, or of all instances of a task in the order of time. */

import path from 'node:path'

import type { LogQuery, LogRecord } from '../../api/resources.ts'
import { QuiverError } from '../../core/error.ts'
import type { Instance } from '../../drivers/driver.ts'
import { followLog, mergeLogs, readLog, type LogLine } from '../../drivers/log.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'

import type { ServiceParts } from './parts.ts'

type Filter = (record: LogRecord) => boolean

/** The last lines of an instance, for its owner. */
export async function logTail(instance: Instance, linesMax: number): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const { text } of readLog(logFolder(instance))) {
    lines.push(text)
    if (lines.length > linesMax) lines.shift()
  }
  return lines
}

/**
 * What is kept, in order of time; with `follow` also what comes, from instances to come too. What an instance wrote stays
 * as it wrote it, whatever the clock said meanwhile.
 */
export async function* readLogs(
  target: string,
  query: LogQuery,
  signal: AbortSignal,
  parts: ServiceParts,
): AsyncIterable<LogRecord> {
  const isWanted = buildFilter(query)
  const instances = findInstances(target, query, parts)
  const follower = query.follow === true ? new Follower(isWanted, signal) : undefined
  // Before anything is read, so that nothing starts unseen in between.
  using resources = new DisposableStack()
  if (follower !== undefined) resources.use(followStarts(target, follower, instances, parts))
  const kept = instances.map((managed) => new KeptLog(managed, isWanted))
  const merged = mergeLogs(kept.map((log) => log.records()))
  yield* query.tail === undefined ? merged : await lastOf(merged, query.tail)
  if (follower === undefined) return

  for (const { managed, lines, wasLive } of kept) if (wasLive) follower.add(managed, lines)
  if (parts.scheduler.registry.get(target) === undefined) follower.finish()
  yield* follower.records()
}

/** What an instance has written until now. */
class KeptLog {
  readonly managed: ManagedInstance
  readonly wasLive: boolean
  readonly #isWanted: Filter
  #lines = 0

  constructor(managed: ManagedInstance, isWanted: Filter) {
    this.managed = managed
    this.wasLive = managed.isLive
    this.#isWanted = isWanted
  }

  /** Lines that were read, wanted or not. */
  get lines(): number {
    return this.#lines
  }

  async *records(): AsyncGenerator<LogRecord> {
    for await (const line of readLog(logFolder(this.managed.instance))) {
      this.#lines++
      const record = buildRecord(this.managed, line)
      if (this.#isWanted(record)) yield record
    }
  }
}

async function lastOf<T>(items: AsyncIterable<T>, count: number): Promise<readonly T[]> {
  const last: T[] = []
  for await (const item of items) {
    last.push(item)
    // Cut now and then only: at most twice what is wanted is in memory.
    if (last.length > 2 * count + 64) last.splice(0, last.length - count)
  }
  return last.slice(Math.max(0, last.length - count))
}

/** @param known  followed by whoever reads what they have written */
function followStarts(
  target: string,
  follower: Follower,
  known: readonly ManagedInstance[],
  { scheduler, events }: ServiceParts,
): Disposable {
  return events.subscribe(({ type, task, instance }) => {
    if (task !== target) return
    if (type === 'removed') follower.finish()
    if (type !== 'instanceStarting' || instance === null) return
    if (known.some(({ id }) => id === instance)) return
    follower.add(scheduler.findInstance(instance), 0)
  })
}

function findInstances(
  target: string,
  { previous = false }: LogQuery,
  { scheduler }: ServiceParts,
): readonly ManagedInstance[] {
  const isInstance = scheduler.registry.get(target) === undefined && target.includes('-')
  if (isInstance) return [scheduler.findInstance(target)]
  const { name } = scheduler.registry.require(target)
  const newestFirst = (scheduler.findController(name)?.instances ?? []).toSorted(
    (a, b) => b.sequence - a.sequence,
  )
  if (!previous) return newestFirst
  // What failed last is what people look for; else the one before the newest.
  const ended = newestFirst.find(({ isLive }) => !isLive)
  return ended === undefined ? [] : [ended]
}

/** @throws QuiverError `invalid_argument/PATTERN_INVALID` */
function buildFilter({ sinceMs = 0, grep, requestId }: LogQuery): Filter {
  const pattern = grep === undefined ? undefined : parsePattern(grep)
  return ({ atMs, text }) =>
    atMs >= sinceMs &&
    (pattern === undefined || pattern.test(text)) &&
    (requestId === undefined || text.includes(requestId))
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, 'u')
  } catch (cause) {
    throw new QuiverError('invalid_argument', 'PATTERN_INVALID', `"${text}" is not a pattern`, {
      cause,
      hint: 'Write a regular expression as in JavaScript, such as "timeout|refused".',
    })
  }
}

/** Lines that wait for a slow reader. */
const PENDING_MAX = 10_000

/** Several logs that grow, as one sequence in the order of arrival. */
class Follower {
  readonly #isWanted: Filter
  readonly #signal: AbortSignal
  readonly #pending: LogRecord[] = []
  readonly #ids = new Set<string>()
  readonly #full: (() => void)[] = []
  #open = 0
  #isLast = false
  #wake: () => void = () => {}

  constructor(isWanted: Filter, signal: AbortSignal) {
    this.#isWanted = isWanted
    this.#signal = signal
    signal.addEventListener('abort', () => this.#end(), { once: true })
  }

  /** @param skip  lines that were shown already */
  add(managed: ManagedInstance, skip: number): void {
    if (this.#ids.has(managed.id)) return
    this.#ids.add(managed.id)
    this.#open++
    void this.#follow(managed, skip).finally(() => {
      this.#open--
      this.#wake()
    })
  }

  /** No other instances will come: it ends with the last of those it has. */
  finish(): void {
    this.#isLast = true
    this.#wake()
  }

  async *records(): AsyncGenerator<LogRecord> {
    while (!this.#signal.aborted) {
      yield* this.#pending.splice(0)
      for (const goOn of this.#full.splice(0)) goOn()
      if (this.#isLast && this.#open === 0 && this.#pending.length === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      if (this.#pending.length === 0 && !this.#signal.aborted) await promise
    }
  }

  #end(): void {
    this.#wake()
    for (const goOn of this.#full.splice(0)) goOn()
  }

  async #roomAgain(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#full.push(resolve)
    if (!this.#signal.aborted) await promise
  }

  async #follow(managed: ManagedInstance, skip: number): Promise<void> {
    const ended = new AbortController()
    void managed.instance.exited.then(() => ended.abort())
    const until = AbortSignal.any([this.#signal, ended.signal])
    let number = 0
    for await (const line of followLog(logFolder(managed.instance), until)) {
      number++
      const record = buildRecord(managed, line)
      if (number <= skip || !this.#isWanted(record)) continue
      this.#pending.push(record)
      this.#wake()
      // A reader that is slower than the log must not fill our memory; what is rotated away meanwhile is lost to it.
      if (this.#pending.length >= PENDING_MAX) await this.#roomAgain()
    }
  }
}

function buildRecord(
  { id, instance }: ManagedInstance,
  { atMs, stream, text }: LogLine,
): LogRecord {
  return { atMs, task: instance.plan.task, instance: id, stream, text }
}

function logFolder({ folder }: Instance): string {
  return path.join(folder, 'out')
}
