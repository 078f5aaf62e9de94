/**
 * What the control API shows and accepts, as types. Their validation is in `schemas.ts`, so that the client can know
 * the types without loading a validator. Times are milliseconds since the epoch, sizes are bytes.
 */

import type { Digest } from '../core/digest.ts'
import type { ExitReport, InstanceState, Phase, StartKind, Usage } from '../core/instance.ts'
import type { ErrorBody, TaskCounters } from '../core/link.ts'
import type { Isolation, TaskSpec, TrafficShare } from '../core/task.ts'
import type { BinaryConfig, ImageConfig } from '../images/images.ts'

import type { AddressView, PublishView } from './reach.ts'

export type { Core as CoreView } from '../drivers/cores.ts'
export type { AddressView, PublishView } from './reach.ts'
export type {
  DeployRequest,
  EventQuery,
  InvokeRequest,
  LogQuery,
  PublishRequest,
  RunRequest,
  SnippetRequest,
  SpecOverrides,
  TerminalSize,
} from './requests.ts'

/**
 * One word for people: `idle` (nothing runs, a request starts it), `starting`, `running`, `paused`, `stopped` (by a
 * person), `failing` (its last start failed, or it is backing off from a crash loop), `exited` (a run that has ended).
 */
export type TaskState =
  | 'idle'
  | 'starting'
  | 'running'
  | 'paused'
  | 'stopped'
  | 'failing'
  | 'exited'

export interface TaskView {
  readonly name: string
  readonly state: TaskState
  readonly desired: 'on' | 'stopped'
  /** The current revision: the first of `traffic`. */
  readonly revision: number
  readonly image: Digest
  /** What `runtime` or `file` said. */
  readonly runtime: string
  readonly isolation: Isolation
  readonly urls: readonly string[]
  readonly traffic: readonly TrafficShare[]
  /** Set by `scale`; null: as `[scale]` says. */
  readonly instancesWanted: number | null
  /** Starting, running or paused. */
  readonly instancesLive: number
  /** Running or paused: able to serve at once or after a resume. */
  readonly instancesReady: number
  /** Sum over live instances; 0 when nothing runs. */
  readonly memoryBytes: number
  /** Answered since the node started. */
  readonly requests: number
  readonly createdAtMs: number
  /** When the current revision was deployed. */
  readonly deployedAtMs: number
  /** What failed last and is not cured by a later start. */
  readonly lastError: TaskErrorView | null
}

export interface TaskErrorView extends ErrorBody {
  readonly atMs: number
  readonly revision: number
  readonly instance: string | null
  /** Last lines of the instance's log; empty when there are none. */
  readonly logTail: readonly string[]
}

/** What `describe` shows. */
export interface TaskDetail extends TaskView {
  /** Newest first. */
  readonly revisions: readonly RevisionView[]
  readonly routes: readonly string[]
  readonly publish: readonly PublishView[]
  /** In the order in which instances take them; empty: it is not on the bridge. */
  readonly addresses: readonly AddressView[]
  /** Live ones, then those that ended and are still kept, newest first. */
  readonly instances: readonly InstanceView[]
  /** Null before the first report of the proxy. */
  readonly counters: TaskCounters | null
  /** Newest first, a bounded number. */
  readonly errors: readonly TaskErrorView[]
  /** Back-off: no start is tried before this time; null: none. */
  readonly backOffUntilMs: number | null
}

export interface RevisionView {
  readonly number: number
  readonly image: Digest
  readonly runtime: string
  /** Of new requests; 0 for one that is kept for rollback. */
  readonly percent: number
  readonly instancesLive: number
  readonly spec: TaskSpec
  readonly createdAtMs: number
}

export interface InstanceView {
  readonly id: string
  readonly task: string
  readonly revision: number
  readonly state: InstanceState
  /** One execution with an end, made by `run`. */
  readonly isRun: boolean
  /** Of the last wake; null while starting. */
  readonly startKind: StartKind | null
  readonly createdAtMs: number
  /** Null: it is not on the bridge. */
  readonly address: AddressView | null
  readonly phases: readonly PhaseView[]
  /** Null when it has ended. */
  readonly usage: Usage | null
  readonly inFlight: number
  readonly requests: number
  /** Null while it lives. */
  readonly exit: ExitReport | null
  /** The sentence for `exit.reason`, with figures where they help; null while it lives. */
  readonly exitText: string | null
  /** Why its start failed; null: it did not. */
  readonly error: ErrorBody | null
}

/** One bar of the waterfall. */
export interface PhaseView {
  readonly name: Phase['name']
  /** From the wake to the beginning of this phase, in milliseconds with fractions. */
  readonly startMs: number
  readonly durationMs: number
}

export interface DeployResult {
  readonly task: string
  readonly revision: number
  readonly image: Digest
  readonly imageBytes: number
  readonly urls: readonly string[]
  readonly publish: readonly PublishView[]
  readonly addresses: readonly AddressView[]
  /** True: the current revision has this image and this spec already; nothing was done. */
  readonly isUnchanged: boolean
  /** True: the task did not exist. */
  readonly isNew: boolean
  /** What took how long, in order: `materialise`, `commit`, `ready` … */
  readonly timings: readonly Timing[]
}

export interface Timing {
  readonly name: string
  readonly ms: number
}

/** What a deployment would change. */
export interface DeployDifference {
  readonly task: string
  readonly isNew: boolean
  readonly isUnchanged: boolean
  /** The revision it is compared with; null for a new task. */
  readonly revision: number | null
  /** That its instances would have, in the order in which they take them. */
  readonly addresses: readonly AddressView[]
  /** Of the specification, by dotted path; JSON text, null for "not there". */
  readonly changes: readonly {
    readonly path: string
    readonly before: string | null
    readonly after: string | null
  }[]
  readonly files: readonly {
    readonly path: string
    readonly change: 'added' | 'changed' | 'removed'
  }[]
}

export interface RunResult {
  readonly instance: string
  /** The name that `logs`, `stop`, `exec` take. */
  readonly task: string
  readonly urls: readonly string[]
  readonly publish: readonly PublishView[]
  readonly addresses: readonly AddressView[]
}

/** What an export returned. */
/** What became of a snippet. */
export interface SnippetResult {
  /** The first mebibyte of each. */
  readonly stdout: string
  readonly stderr: string
  readonly isTruncated: boolean
  /** Exit status; null: it was ended. */
  readonly status: number | null
  /** `COMPLETED`, `EXITED` with a status other than 0, or what ended it: `WALL_TIME`, `OUT_OF_MEMORY`. */
  readonly reason: string
  readonly durationMs: number
}

export interface InvokeResult {
  readonly instance: string
  /** A number as text, so that 64 bits fit; null: it returns nothing. */
  readonly value: string | null
  /** What it wrote to its output buffer; null: nothing. */
  readonly output: InvokeOutput | null
}

export interface InvokeOutput {
  readonly status: number
  /** Name, value, name, value … */
  readonly headers: readonly string[]
  /** Base64. */
  readonly body: string
}

/** One line of a log, without its line feed. */
export interface LogRecord {
  readonly atMs: number
  readonly task: string
  readonly instance: string
  /** `quiver`: remarks of our own, such as dropped output. */
  readonly stream: 'stdout' | 'stderr' | 'quiver'
  readonly text: string
}

export interface EventView {
  /** Grows by one; gaps only where old events were dropped. */
  readonly sequence: number
  readonly atMs: number
  /** Stable, such as `deployed`, `started`, `paused`, `resumed`, `exited`, `startFailed`, `egressDenied`. */
  readonly type: string
  readonly task: string | null
  readonly revision: number | null
  readonly instance: string | null
  /** Of failures and ends: stable, as in errors and exit reports. */
  readonly reason: string | null
  readonly message: string
}

/** What `top` shows. */
export interface TopView {
  readonly atMs: number
  readonly cpu: CpuView
  readonly memory: SpaceView
  readonly instances: readonly {
    readonly id: string
    readonly task: string
    readonly state: InstanceState
    /** Of one core, since the last reading, 0–100 × cores. */
    readonly cpuPercent: number
    readonly memoryBytes: number
    readonly memoryBytesMax: number
    readonly pids: number
    readonly inFlight: number
    readonly requests: number
  }[]
}

export interface CpuView {
  readonly cores: number
  /** Of all cores, 0–100. */
  readonly usedPercent: number
}

export interface SpaceView {
  readonly totalBytes: number
  readonly availableBytes: number
}

export interface ImageView {
  readonly digest: Digest
  readonly name: string
  readonly version: string | null
  readonly runtime: string
  readonly binary: Digest
  readonly bytes: number
  readonly fileCount: number
  /** `task@revision`, for each revision that needs it. */
  readonly usedBy: readonly string[]
  readonly createdAtMs: number
}

export interface ImageDetail extends ImageView {
  readonly config: ImageConfig
}

export interface BinaryView {
  readonly digest: Digest
  readonly name: string
  readonly version: string
  readonly platform: string
  readonly bytes: number
  readonly fileCount: number
  /** Names of images, each once. */
  readonly usedBy: readonly string[]
  readonly createdAtMs: number
}

export interface BinaryDetail extends BinaryView {
  readonly config: BinaryConfig
  /** Of WebAssembly, where it was asked for; null when it is none. */
  readonly module?: ModuleView | null | undefined
}

/** What a module says about itself: names are whatever its maker wrote. */
export interface ModuleView {
  /** `command`, `function`, `reactor`, … */
  readonly kind: string
  /** The export that answers requests. */
  readonly entry: string | null
  /** The first ones of `exportCount`. */
  readonly exports: readonly { readonly name: string; readonly signature: string }[]
  readonly exportCount: number
  /** Imports from other tasks. */
  readonly links: readonly {
    readonly task: string
    readonly function: string
    readonly signature: string
  }[]
  /** Language, compiler and the like. */
  readonly producers: readonly string[]
  /** That it starts with. */
  readonly memoryBytes: number
}

export interface GarbageView {
  readonly files: number
  readonly bytes: number
}

export interface HealthView {
  /** Something that every request needs does not work: the data folder, the proxy, all drivers. */
  readonly isCritical: boolean
  /** It works but should get no more work: memory, disk or CPU are nearly used up. */
  readonly isOverloaded: boolean
  readonly cpu: CpuView
  readonly memory: SpaceView
  /** Of the file system of the data folder. */
  readonly disk: SpaceView
  readonly backends: readonly BackendView[]
  readonly processes: { readonly proxy: boolean; readonly egress: boolean }
  /** One sentence for each thing that is wrong; empty when all is well. */
  readonly problems: readonly string[]
}

export interface BackendView {
  readonly isolation: Isolation
  readonly isUsable: boolean
  readonly findings: readonly {
    readonly feature: string
    readonly isPresent: boolean
    readonly isRequired: boolean
    readonly remedy: string | null
  }[]
}

export interface NodeView {
  readonly hostname: string
  readonly version: string
  readonly platform: string
  readonly pid: number
  readonly startedAtMs: number
  readonly isRoot: boolean
  readonly dataFolder: string
  readonly runFolder: string
  /** What listens where, by name: `http`, `https`, `api` … */
  readonly addresses: Readonly<Record<string, string>>
  readonly tasks: number
  readonly instancesLive: number
}

/** The effective configuration of the node. */
export interface ConfigView {
  readonly entries: readonly {
    readonly key: string
    /** JSON text. */
    readonly value: string
    readonly source: 'default' | 'file' | 'environment' | 'flag'
    /** File and line, variable or flag; null for a default. */
    readonly origin: string | null
  }[]
}

/** Where a task is reached. */
export interface ServiceView {
  readonly name: string
  readonly state: TaskState
  readonly urls: readonly string[]
  readonly publish: readonly PublishView[]
  readonly instancesReady: number
  /** A request would be answered: by an instance that is ready, or by one that it starts. */
  readonly isAvailable: boolean
}
