/**
 * Tasks and their revisions: what users deploy, as every part of Quiver sees it.
 *
 * A manifest (`config/manifest.ts`) is what people write; a `TaskSpec` is what it means, with every
 * default filled in and every quantity a number. A revision pairs a spec with an image, for ever.
 */

import type { Digest } from './digest.ts'

export type Isolation = 'wasm' | 'sandbox' | 'microvm'

/** `limits.start_timeout` unless given: a machine boots first, and one that is emulated is slower by an order of magnitude. */
export const START_TIMEOUT_MS: Readonly<Record<Isolation, number>> = {
  wasm: 10_000,
  sandbox: 10_000,
  microvm: 60_000,
}

/** How a revision of a task is run. JSON-serialisable; the unit is in the name of every number. */
export interface TaskSpec {
  readonly name: string
  readonly isolation: Isolation
  /** What follows the binary in argv. */
  readonly args: readonly string[]
  /** argv[0]; the binary's own name when null. Selects the applet of a multi-call binary. */
  readonly argv0: string | null
  readonly env: Readonly<Record<string, string>>
  /** Absolute path inside the instance; `/app` holds the image. */
  readonly workdir: string
  /** Null for a task without a web server. */
  readonly http: HttpSpec | null
  /** Plain TCP ports, beside the HTTP one. */
  readonly ports: readonly PortSpec[]
  readonly scale: ScaleSpec
  readonly limits: LimitsSpec
  /** Path that must answer 200 before the first request; null: a listening port is enough. */
  readonly readyPath: string | null
  /** Outside hosts that may be reached. */
  readonly allow: readonly OutsideHost[]
  /** Other tasks that may be reached, each under a name of its own. */
  readonly connect: readonly Connection[]
  readonly network: Network
  /** Who it is on its network. Absent: as everybody, and from what was stored before there was one. */
  readonly identity?: IdentitySpec | undefined
  /** `/app` is a private copy that may be written; otherwise it is shared and read-only. */
  readonly isWritable: boolean
  /** Signal number that asks the process to end, 15 unless chosen. */
  readonly stopSignal: number
  /** How a WebAssembly module is run; null: as `WASM_DEFAULTS`, or it is none. Absent from what was stored before there was one. */
  readonly wasm?: WasmSpec | null
  /** `ready`: the machine is saved once the program is ready, and later starts go on from there. Absent: nothing is saved. */
  readonly snapshot?: 'ready' | undefined
}

/**
 * `private`: loopback, with ways to what is declared; `bridge`: these, and an address on the node's bridge; `none`: loopback
 * alone; `host`: the machine's own.
 */
export type Network = 'private' | 'bridge' | 'none' | 'host'

export interface IdentitySpec {
  /** One label; null: the name of the task. */
  readonly hostname: string | null
  /** IPv4, on the bridge; null: one of the node's choice. Whoever has one of his own has one instance. */
  readonly ip: string | null
  /** Null: made from the address. */
  readonly mac: string | null
  /** IPv4 addresses of name servers on the bridge, or behind it. */
  readonly dns: readonly string[]
}

/** Whether what is declared, other tasks and outside hosts, can be reached. */
export function reachesDeclared({ network }: Pick<TaskSpec, 'network'>): boolean {
  return network === 'private' || network === 'bridge'
}

/** What an instance is called on its own network. */
export function hostnameOf({ name, identity }: Pick<TaskSpec, 'name' | 'identity'>): string {
  return identity?.hostname ?? name
}

/** Whether there can be one instance of it at a time alone: it is to be somebody of whom there is one. */
export function isOnlyOne({ identity }: Pick<TaskSpec, 'identity'>): boolean {
  return (identity?.ip ?? identity?.mac ?? null) !== null
}

export interface WasmSpec {
  /** What a command writes: an answer with its headers (CGI), or only the body of one. */
  readonly stdout: 'cgi' | 'body'
  /** The export that answers requests; null: as the module's kind has it. */
  readonly entry: string | null
  /** One instance of the module for all requests, one at a time; else a fresh one for each. */
  readonly isReused: boolean
  /** Longest computing of one request. */
  readonly cpuTimeMs: number
  /** Longest answer. */
  readonly outputBytes: number
  /** Calls of host functions per second, of one request. */
  readonly hostCalls: number
  /** The file of the image that the binary, a JavaScript engine, runs. Absent: the binary is the program itself. */
  readonly script?: string | null | undefined
}

/**
 * As `script`: it comes as input, before what the script itself reads: its length in bytes, as eight hexadecimal digits, and its text.
 * Only of a run, and nothing of it is kept.
 */
export const SCRIPT_INPUT = '-'

export const WASM_DEFAULTS: WasmSpec = {
  stdout: 'cgi',
  entry: null,
  isReused: false,
  cpuTimeMs: 10_000,
  outputBytes: 64 * 1024 * 1024,
  hostCalls: 1_000_000,
}

export interface HttpSpec {
  /** Port inside the instance, 1–65535; also given as `$PORT`. */
  readonly port: number
  /** As written, such as `GET example.com/api/:id`; `<name>.localhost` when none is written. */
  readonly routes: readonly string[]
  readonly sticky: 'none' | 'cookie' | 'client'
}

export interface PortSpec {
  /** Port inside the instance, 1–65535. */
  readonly port: number
  /** Where the host listens for it; null: only other tasks reach it. */
  readonly publish: { readonly address: string; readonly port: number } | null
}

export interface ScaleSpec {
  readonly min: number
  readonly max: number
  /** Requests in flight per instance. */
  readonly concurrency: number
  /** Idle time before an instance is frozen; null: never. */
  readonly pauseAfterMs: number | null
  /** Idle time before an instance is stopped; null: never. */
  readonly stopAfterMs: number | null
}

export interface LimitsSpec {
  readonly memoryBytes: number
  /** Thousandths of a core, once ready; null: not limited. */
  readonly cpuMillis: number | null
  /** Thousandths of a core until ready. */
  readonly startCpuMillis: number
  readonly pids: number
  /** Open files per process (RLIMIT_NOFILE). */
  readonly files: number
  /** Largest file a process may write (RLIMIT_FSIZE); null: bounded by tmpfs only. */
  readonly fileBytes: number | null
  /** Core dumps of an instance, all together; null, or absent: none are made. In a microVM alone. */
  readonly coreBytes?: number | null | undefined
  /** Size of each tmpfs: `/tmp`, and `/app` when it is writable. */
  readonly tmpBytes: number
  readonly requestTimeoutMs: number
  readonly startTimeoutMs: number
  /** Between the stop signal and SIGKILL. */
  readonly stopTimeoutMs: number
  /** Longest life of one instance; null: no limit. */
  readonly wallTimeMs: number | null
  /** Largest request body; null: no limit. */
  readonly bodyBytes: number | null
  /** Requests that may wait for a start. */
  readonly queueLength: number
  /** Log kept per instance, in all its files together. */
  readonly logBytes: number
}

export interface OutsideHost {
  readonly scheme: 'http' | 'https' | 'tcp'
  /** Lower-case host name or an address. */
  readonly host: string
  readonly port: number
}

export interface Connection {
  readonly task: string
  /** Host name inside the instance; the task's name unless chosen. */
  readonly as: string
  /** Port inside the instance, and for plain TCP the port of the other task too. */
  readonly port: number
  readonly kind: 'http' | 'tcp'
}

export interface Revision {
  readonly task: string
  /** 1, 2, 3 … in the order of deployment. */
  readonly number: number
  readonly image: Digest
  readonly spec: TaskSpec
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number
}

export interface Task {
  readonly name: string
  /** `run`: one execution with an end; nothing starts it again but a person. */
  readonly kind: 'service' | 'run'
  /** Percent of new requests per revision; sums to 100; the first is the current one. */
  readonly traffic: readonly TrafficShare[]
  /** Newest revision number ever used. */
  readonly revisionLast: number
  /** A revision that is being made ready and has no traffic yet; one that a crash left is dropped. */
  readonly candidate: number | null
  /** The revision that was current before, for rollback; null when there is none. */
  readonly previous: number | null
  /** `stopped`: by a person, until started; it answers 503. */
  readonly desired: 'on' | 'stopped'
  /** A run of which nothing is to stay when it has ended. */
  readonly isRemovedAtEnd: boolean
  /** Set by `scale`; null: as the revision's `[scale]` says. */
  readonly instances: number | null
  /** Index into the node's uid range, for good. */
  readonly uidIndex: number
  /** Places in the subnet of the node's bridge, one for each instance it may have. Absent: it was never on the bridge. */
  readonly bridgePlaces?: readonly number[] | undefined
  readonly createdAtMs: number
}

export interface TrafficShare {
  readonly revision: number
  readonly percent: number
}
