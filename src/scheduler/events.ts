/** What happened on this node: kept in memory for readers, and on disk so that a restart does not forget it. */

import { appendFileSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs'

export interface NodeEvent {
  /** Grows by one. */
  readonly sequence: number
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly type: EventType
  readonly task: string | null
  readonly revision: number | null
  readonly instance: string | null
  readonly reason: string | null
  readonly message: string
}

export type EventType =
  | 'nodeStarted'
  | 'deployed'
  | 'promoted'
  | 'rolledBack'
  | 'scaled'
  | 'removed'
  | 'stopped'
  | 'started'
  | 'restarted'
  | 'binaryImported'
  | 'instanceStarting'
  | 'instanceReady'
  | 'instancePaused'
  | 'instanceResumed'
  | 'instanceExited'
  | 'instanceAdopted'
  | 'startFailed'
  | 'backingOff'
  | 'instanceSuspect'
  | 'egressDenied'
  | 'publishFailed'
  | 'limitReached'

export type NewEvent = Pick<NodeEvent, 'type' | 'message'> & Partial<NodeEvent>

const KEPT_MAX = 10_000
const FILE_BYTES_MAX = 4 * 1024 * 1024

export class EventLog {
  readonly #path: string
  readonly #kept: NodeEvent[]
  readonly #listeners = new Set<(event: NodeEvent) => void>()
  #sequence: number
  #fileBytes: number

  /** @param path  a file of JSON lines; its predecessor is kept beside it as `<path>.1` */
  constructor(path: string) {
    this.#path = path
    this.#kept = [...readEvents(`${path}.1`), ...readEvents(path)].slice(-KEPT_MAX)
    this.#sequence = this.#kept.at(-1)?.sequence ?? 0
    this.#fileBytes = existsSync(path) ? statSync(path).size : 0
  }

  emit(event: NewEvent): void {
    const full: NodeEvent = {
      task: null,
      revision: null,
      instance: null,
      reason: null,
      ...event,
      sequence: ++this.#sequence,
      atMs: Date.now(),
    }
    this.#kept.push(full)
    if (this.#kept.length > KEPT_MAX * 1.1) this.#kept.splice(0, this.#kept.length - KEPT_MAX)
    this.#append(`${JSON.stringify(full)}\n`)
    for (const listener of this.#listeners) listener(full)
  }

  list(): readonly NodeEvent[] {
    return this.#kept
  }

  /** @returns what ends the subscription */
  subscribe(listener: (event: NodeEvent) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Events are a convenience: a full disk must not stop what they tell of. */
  #append(line: string): void {
    try {
      if (this.#fileBytes > FILE_BYTES_MAX) {
        renameSync(this.#path, `${this.#path}.1`)
        this.#fileBytes = 0
      }
      appendFileSync(this.#path, line, { mode: 0o600 })
      this.#fileBytes += line.length
    } catch {
      // Kept in memory all the same.
    }
  }
}

function readEvents(path: string): readonly NodeEvent[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8').trim().split('\n').flatMap(parseLine)
}

/** A line cut by a crash is left out. */
function parseLine(line: string): readonly NodeEvent[] {
  try {
    const event: NodeEvent = JSON.parse(line)
    return [event]
  } catch {
    return []
  }
}
