/**
 * The contract between the scheduler and one isolation technology.
 *
 *     driver:    probe ─▶ (prepare | adopt)* ─▶ [Symbol.asyncDispose]
 *     instance:  prepared ─▶ starting ─▶ running ⇄ paused ─▶ exited | failed
 *
 * A driver owns processes, mounts, cgroups and sockets of instances, and nothing else: no state store, no
 * routing, no retries. Those belong to the scheduler. Instances outlive the driver object: disposing it
 * lets go of them; `adopt` finds them again. Every driver passes `tests/conformance/driver.ts`, unmodified.
 */

import type { Duplex } from 'node:stream'

import type {
  ExitReason,
  ExitReport,
  InstanceState,
  LimitMet,
  Phase,
  Usage,
} from '../core/instance.ts'
import type { Isolation, TaskSpec } from '../core/task.ts'

export interface Driver extends AsyncDisposable {
  readonly isolation: Isolation
  readonly capabilities: Capabilities

  /** Reports what this host offers, without changing it. Never throws for a missing feature. */
  probe(): Promise<ProbeReport>

  /**
   * Called before a revision is deployed: makes ready what takes long and is the same for all its instances. Absent: nothing
   * does. An instance that is prepared without it starts all the same, only later.
   *
   * @throws QuiverError `failed_precondition/ISOLATION_UNUSABLE` with what this host lacks, and how to get it;
   *   as `prepare` does
   */
  provision?(plan: RevisionPlan, signal: AbortSignal): Promise<void>

  /**
   * Called when revisions may have gone: what was made for one that does not exist any more is not needed. Absent: nothing is.
   * Returns at once, and does what it does in the background.
   */
  prune?(exists: (task: string, revision: number) => boolean): void

  /**
   * Makes the instance's folder, cgroups and identity; starts nothing. Cheap: it is part of every cold start.
   *
   * @throws QuiverError `invalid_argument/SPEC_UNSUPPORTED` for what `capabilities` does not offer
   */
  prepare(plan: InstancePlan): Promise<Instance>

  /**
   * Called once, before any `prepare`: finds what an earlier control process left. Live instances are returned in
   * the state they are in; what is dead is cleaned up and returned as ended, with the report it ended with, until it is
   * removed. Touches only what belongs to this node.
   */
  adopt(): Promise<readonly Instance[]>
}

/** Everything a driver needs to know; fixed for the instance's life; survives in its folder as JSON. */
export interface InstancePlan {
  /** `<task>-<revision>-<6 base32 characters>`. */
  readonly id: string
  readonly task: string
  readonly revision: number
  readonly spec: TaskSpec
  /** Absolute paths of materialised trees, and the absolute path of the program within the binary's. */
  readonly binaryTree: string
  readonly imageTree: string
  readonly entry: string
  /** Folders and files of the host that the instance sees beside its trees. */
  readonly mounts: readonly Mount[]
  /** Complete environment. Kept out of the folder's JSON: it may hold secrets. */
  readonly env: Readonly<Record<string, string>>
  readonly uidIndex: number
  /** What the instance may reach, each under an address and port of its own inside. */
  readonly relays: readonly Relay[]
  /** Names beyond those of `relays`, each of which gets an address inside when it is first looked up. */
  readonly wildcards: readonly Wildcard[]
  /** Proves to the egress relay which instance is asking. 32 hexadecimal digits. */
  readonly token: string
  /** Its place on the node's bridge. Absent: it has none. */
  readonly bridge?: BridgeInterface | undefined
  readonly stdio: StdioPlan
  /** True for one execution with an end: exit status 0 is then success, and nothing restarts it. */
  readonly isRun: boolean
}

/** What is known of all instances of a revision. */
export type RevisionPlan = Pick<InstancePlan, 'task' | 'spec' | 'binaryTree' | 'imageTree'>

export interface BridgeInterface {
  /** IPv4. */
  readonly address: string
  /** Of the subnet. */
  readonly prefixBits: number
  /** Six pairs of hexadecimal digits in lower case, with colons. */
  readonly mac: string
}

export interface Mount {
  /** Absolute, on the host. */
  readonly source: string
  /** Absolute, inside: a file or folder that its tree has, or below a temporary folder. */
  readonly target: string
  /** As far as the host lets the instance's uid. */
  readonly isWritable: boolean
}

export interface Relay {
  /** Host name inside, for /etc/hosts. */
  readonly name: string
  /** Inside: 127.x, or what the name is, if that is an address. */
  readonly address: string
  readonly port: number
}

export interface Wildcard {
  /** `*.` and a domain, in lower case. */
  readonly pattern: string
  readonly port: number
}

export interface StdioPlan {
  readonly isTerminal: boolean
  /** Wait for the first attachment before the program starts, so that it sees every byte. */
  readonly isHeld: boolean
  /** Otherwise stdin is /dev/null. */
  readonly hasStdin: boolean
}

export interface Instance extends AsyncDisposable {
  readonly plan: InstancePlan
  readonly state: InstanceState
  readonly phases: readonly Phase[]
  /** Folder on the host with `log/`, kept until `remove`. The scheduler may keep a file `story.json` of its own there. */
  readonly folder: string
  /** Its process has ended and `exited` will follow: whatever is sent there now is lost. */
  readonly isEnding: boolean
  /** Why it is being stopped, also by an earlier control process; undefined when nobody has asked for that. */
  readonly stopReason: ExitReason | undefined

  /** How the data plane opens a stream to a port of the instance. */
  readonly endpoint: Endpoint

  /**
   * Starts the program; resolves once the declared port listens (at once after exec for a task without ports).
   *
   * @throws QuiverError `deadline_exceeded/START_TIMEOUT`, `failed_precondition/START_FAILED` (exec format, missing
   *   program …), `failed_precondition/WRONG_PORT` (listens elsewhere; names both), `failed_precondition/EXITED_EARLY`
   *   with status and last lines. The instance is dead afterwards.
   */
  start(signal: AbortSignal): Promise<void>

  /** From now on the running CPU limit applies, not the starting one. */
  settle(): Promise<void>

  /** Resolves when the instance has ended and its processes are gone, however it ended. Never rejects. */
  readonly exited: Promise<ExitReport>

  /** False where nothing can be frozen: `pause` is then not called. */
  readonly canPause: boolean
  pause(): Promise<void>
  resume(): Promise<void>

  /** Sends a signal to the task's process. */
  signal(signal: number): Promise<void>

  /** Stop signal, then after `graceMs` SIGKILL; `reason` goes into the report. Resolves as `exited`. */
  stop(reason: ExitReason, graceMs: number): Promise<ExitReport>

  /**
   * Has each limit told that the instance meets and outlives, with its name. Called once, before `start`. Where only the
   * kernel knows, it tells nobody: see `usage`.
   */
  watchLimits(tell: (met: LimitMet) => void): void

  /** After the end: what it was at the end. */
  usage(): Promise<Usage>

  /** Another process in the instance, in the program's working directory; ends with the connection. */
  exec(request: ExecRequest): Promise<Session>
  /** Joins the program's own stdio, beginning with what the bounded buffer still holds. */
  attach(isPrimary: boolean): Promise<Session>

  /** Deletes the folder. Only after `exited`. */
  remove(): Promise<void>
}

/**
 * `descriptor`: a SOCK_SEQPACKET socket at `path` answers with a connected stream (docs/internals/ainit.md);
 * `socket`: connect to `path`.
 */
export interface Endpoint {
  readonly kind: 'descriptor' | 'socket'
  readonly path: string
  /** Of this instance alone, in place of the port that is asked for: several instances share the endpoint. */
  readonly port?: number
}

export interface ExecRequest {
  readonly args: readonly string[]
  /** Complete, as `InstancePlan.env` is. */
  readonly env: Readonly<Record<string, string>>
  readonly terminal: { readonly rows: number; readonly columns: number } | null
  /** Run the node's static busybox under this name instead of a program of the instance. */
  readonly isLent: boolean
}

/** Stdio of one process. Close `stdin` to send end-of-file; destroying all of it hangs up. */
export interface Session extends AsyncDisposable {
  readonly stdin: NodeJS.WritableStream
  readonly stdout: NodeJS.ReadableStream
  readonly stderr: NodeJS.ReadableStream
  resize(rows: number, columns: number): void
  signal(signal: number): void
  /** Status 0–255; 128 + n for signal n. Rejects when the connection is lost. */
  readonly status: Promise<number>
}

export interface Capabilities {
  readonly pause: boolean
  readonly snapshot: boolean
  readonly memoryBytesMin: number
  /** Instances can be connected to the node's bridge. Absent: they cannot. */
  readonly bridge?: boolean
}

export interface ProbeReport {
  readonly usable: boolean
  readonly findings: readonly ProbeFinding[]
}

export interface ProbeFinding {
  readonly feature: string
  readonly present: boolean
  /** False: `quiver up` works without it, with less. */
  readonly isRequired: boolean
  /** What is lost without it, and how to get it. */
  readonly remedy?: string
  /** Debian packages that bring it. */
  readonly packages?: readonly string[]
}

/** A duplex stream to a port inside an instance. */
export type OpenStream = (endpoint: Endpoint, port: number, signal: AbortSignal) => Promise<Duplex>
