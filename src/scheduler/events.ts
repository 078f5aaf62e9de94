/** What happened on this node: kept in memory for readers, and on disk so that a restart does not forget it. */

import { appendFileSync, readFileSync, renameSync } from 'node:fs'

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
  | 'coreStored'

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
    const text = readQuietly(path)
    this.#kept = [readQuietly(`${path}.1`), text].flatMap(parseLines).slice(-KEPT_MAX)
    this.#sequence = this.#kept.reduce((last, { sequence }) => Math.max(last, sequence), 0)
    this.#fileBytes = Buffer.byteLength(text)
    // What follows a line that was cut by a crash must not be lost with it.
    if (text !== '' && !text.endsWith('\n')) this.#append('\n')
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
      this.#fileBytes += Buffer.byteLength(line)
    } catch {
      // Kept in memory all the same.
    }
  }
}

/** What cannot be read is as what never was: events are no reason not to start. */
function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Lines that are no events are left out, such as one that was cut by a crash. */
function parseLines(text: string): readonly NodeEvent[] {
  return text.split('\n').flatMap((line) => {
    const value = parseJson(line)
    return isEvent(value) ? [value] : []
  })
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function isEvent(value: unknown): value is NodeEvent {
  if (typeof value !== 'object' || value === null) return false
  const { sequence, atMs, type, message }: Partial<Record<keyof NodeEvent, unknown>> = value
  const areNumbers = Number.isSafeInteger(sequence) && Number.isFinite(atMs)
  return areNumbers && typeof type === 'string' && typeof message === 'string'
}
