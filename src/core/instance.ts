/** One live isolated environment of a revision: its states, its phases, how it ended. */

import type { ErrorBody } from './link.ts'

export type InstanceState = 'prepared' | 'starting' | 'running' | 'paused' | 'exited' | 'failed'

/** Every move an instance may make; a move not listed is a bug. */
export const TRANSITIONS: Readonly<Record<InstanceState, readonly InstanceState[]>> = {
  prepared: ['starting', 'exited', 'failed'],
  starting: ['running', 'exited', 'failed'],
  running: ['paused', 'exited', 'failed'],
  paused: ['running', 'exited', 'failed'],
  exited: [],
  failed: [],
}

/** How an instance came to serve a request. */
export type StartKind = 'cold' | 'resumed' | 'warm' | 'pooled' | 'restored'

/** How an instance ended. */
export interface ExitReport {
  /** Exit status 0–255; null when a signal ended the process or nothing is known. */
  readonly status: number | null
  /** Signal number; null when the process exited by itself. */
  readonly signal: number | null
  readonly isCoreDumped: boolean
  /** Why, as a stable reason: see `EXIT_REASONS`. */
  readonly reason: ExitReason
  /** Milliseconds since the epoch. */
  readonly exitedAtMs: number
}

/** What ends an instance, and the sentence that `ps` and `describe` show for it. */
export const EXIT_REASONS = {
  COMPLETED: 'the process exited with status 0',
  EXITED: 'the process exited by itself with an error status',
  SIGNALED: 'the process was ended by a signal that Quiver did not send',
  STOPPED: 'it was stopped on request',
  IDLE: 'it was idle for longer than stop_after',
  REPLACED: 'a newer revision took its place',
  SCALED_DOWN: 'fewer instances were wanted',
  OUT_OF_MEMORY: 'it used more memory than limits.memory allows',
  WALL_TIME: 'it ran for longer than limits.wall_time allows',
  START_TIMEOUT: 'it was not ready within limits.start_timeout',
  START_FAILED: 'it could not be started',
  WRONG_PORT: 'it listens on another port than the declared one',
  UNHEALTHY: 'its health path did not answer 200',
  KILLED: 'it was killed from outside',
  MACHINE_FAILED: 'the virtual machine that it ran in ended; its logs say how',
  LOST: 'it was gone when the node came back',
} as const satisfies Record<string, string>

export type ExitReason = keyof typeof EXIT_REASONS

/** A limit that an instance met and outlived. */
export interface LimitMet {
  readonly error: ErrorBody
  /** All requests that were in flight were lost with it. */
  readonly isFatal: boolean
}

/**
 * `sandbox`: namespaces are made; `boot`: a machine has started its kernel; `clone`: it goes on from where one had started it;
 * `restore`: from where the program was ready.
 */
export const PHASES = [
  'queue',
  'materialise',
  'sandbox',
  'boot',
  'clone',
  'restore',
  'exec',
  'listen',
  'ready',
  'firstByte',
] as const

/** One step of a start. Times are CLOCK_MONOTONIC, as in `process.hrtime()`. */
export interface Phase {
  readonly name: (typeof PHASES)[number]
  /** Nanoseconds; the end of this phase and the beginning of the next. */
  readonly atNs: number
}

/** What an instance uses, read from its cgroup. */
export interface Usage {
  readonly memoryBytes: number
  readonly memoryBytesMax: number
  readonly cpuNs: number
  readonly pids: number
  readonly oomKills: number
  /** Forks refused by limits.pids. */
  readonly pidsRefused: number
}
