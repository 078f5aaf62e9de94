/**
 * What control does for the API: routes call it, the daemon implements it.
 *
 * All input has been validated by the border. A promise that resolves means done and durable. Failures are
 * `QuiverError`s; a name that does not exist is `not_found/TASK_NOT_FOUND` (or `INSTANCE_…`, `IMAGE_…`, `BINARY_…`)
 * with the nearest name as its hint. A `signal` aborts when the caller has gone; waiting stops then, work already
 * begun is finished.
 */

import type { Readable } from 'node:stream'

import type { Digest } from '../core/digest.ts'
import type { Core } from '../drivers/cores.ts'
import type { ExecRequest, Session } from '../drivers/driver.ts'
import type { BinaryConfig, ImageConfig } from '../images/images.ts'

import type {
  BinaryDetail,
  BinaryView,
  ConfigView,
  DeployDifference,
  DeployRequest,
  DeployResult,
  EventQuery,
  EventView,
  GarbageView,
  HealthView,
  ImageDetail,
  ImageView,
  InstanceView,
  InvokeRequest,
  InvokeResult,
  LogQuery,
  LogRecord,
  NodeView,
  RunRequest,
  RunResult,
  ServiceView,
  SnippetRequest,
  SnippetResult,
  TaskDetail,
  TaskView,
  TopView,
} from './resources.ts'

export interface ControlService extends TaskControl, InstanceControl, ImageControl, NodeControl {}

export interface TaskControl {
  /** Sorted by name. Runs are not among them unless detached. */
  listTasks(): Promise<readonly TaskView[]>
  getTask(name: string): Promise<TaskDetail>

  /**
   * Makes a revision and lets it take its share of new requests once it is ready.
   *
   * @throws QuiverError `not_found/IMAGE_NOT_FOUND`, `already_exists/ROUTE_TAKEN` and `already_exists/PORT_TAKEN`
   *   naming the owner, `not_found/CONFIG_NOT_FOUND`, and whatever its first start failed with
   */
  deploy(request: DeployRequest, signal: AbortSignal): Promise<DeployResult>
  /** Says what `deploy` would change, and does nothing. */
  difference(request: DeployRequest): Promise<DeployDifference>

  /** Gives the newest revision all traffic. */
  promote(name: string, signal: AbortSignal): Promise<TaskDetail>
  /**
   * Gives all traffic to `revision`, or to the one that was current before when null.
   *
   * @throws QuiverError `not_found/REVISION_NOT_FOUND`, `failed_precondition/NO_PREVIOUS_REVISION`
   */
  rollback(name: string, revision: number | null, signal: AbortSignal): Promise<TaskDetail>

  /** Keeps exactly `instances` running; null: as the revision's `[scale]` says. Resolves when they are. */
  scale(name: string, instances: number | null, signal: AbortSignal): Promise<TaskDetail>
  /** Ends its instances and answers 503 until `startTask`. Also ends a detached run. */
  stopTask(name: string, signal: AbortSignal): Promise<TaskDetail>
  /** Undoes `stopTask`, and makes one instance ready. */
  startTask(name: string, signal: AbortSignal): Promise<TaskDetail>
  /** Replaces its instances by new ones, without refusing a request. */
  restartTask(name: string, signal: AbortSignal): Promise<TaskDetail>
  /** Ends its instances and forgets the task with its revisions and logs. */
  removeTask(name: string, signal: AbortSignal): Promise<void>

  /** Services are tasks as others see them. With `waitMs`, waits until it exists and is available, at most so long. */
  getService(name: string, waitMs: number, signal: AbortSignal): Promise<ServiceView>
  listServices(): Promise<readonly ServiceView[]>
}

/** `target` is an instance id, or a task name: then its newest live instance, or for `logs` all of its instances. */
export interface InstanceControl {
  /** Live ones and those that ended and are still kept; of one task when `task` is given. */
  listInstances(task: string | undefined): Promise<readonly InstanceView[]>
  getInstance(id: string): Promise<InstanceView>

  /** Prepares an instance for one execution, and starts it when detached; otherwise `attach` starts it. */
  createRun(request: RunRequest, signal: AbortSignal): Promise<RunResult>

  /**
   * Runs JavaScript once, alone in a sandbox without files and network, and keeps nothing of it. What fails in the script is a result.
   *
   * @throws QuiverError `resource_exhausted/SNIPPETS_BUSY`; whatever kept it from being started
   */
  runSnippet(request: SnippetRequest, signal: AbortSignal): Promise<SnippetResult>

  /**
   * Joins the program's own stdio. Primary: lossless, one at a time.
   *
   * @throws QuiverError `failed_precondition/NOT_RUNNING`, `already_exists/ATTACHED`
   */
  attach(target: string, isPrimary: boolean, signal: AbortSignal): Promise<OpenedSession>
  /** Another process in the instance. A task without a live instance is woken first. */
  exec(target: string, request: ExecRequest, signal: AbortSignal): Promise<OpenedSession>

  /**
   * Calls an export of a task's module in an instance of it, which is woken first.
   *
   * @throws QuiverError as the executor does: `not_found/EXPORT_NOT_FOUND`, `invalid_argument/CALL_ARGUMENTS`, or what the guest
   *   failed with; `failed_precondition/NOT_CALLABLE`
   */
  invoke(name: string, request: InvokeRequest, signal: AbortSignal): Promise<InvokeResult>

  /** Sends a signal to the program of an instance. */
  signalInstance(id: string, signal: number): Promise<void>

  /**
   * Ordered by time. Ends by itself unless `follow`; ends without an error when `signal` aborts.
   *
   * @throws QuiverError before the first record: `not_found/TASK_NOT_FOUND`, `invalid_argument/PATTERN_INVALID`
   */
  logs(target: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogRecord>

  /** By task, oldest first; of one task when `task` is given. */
  listCores(task: string | undefined): Promise<readonly Core[]>
  /** As the kernel of its machine wrote it. @throws QuiverError `not_found/CORE_NOT_FOUND` */
  readCore(task: string, number: number): Promise<Readable>
  /** @throws QuiverError `not_found/CORE_NOT_FOUND` */
  removeCore(task: string, number: number): Promise<void>
}

export interface OpenedSession {
  readonly instance: string
  /** The receiver owns and disposes it. */
  readonly session: Session
}

export interface ImageControl {
  missing(digests: readonly Digest[]): Promise<readonly Digest[]>
  /** @throws QuiverError `invalid_argument/DIGEST_MISMATCH`, `resource_exhausted/DISK_FULL` */
  putFile(digest: Digest, content: Readable): Promise<{ digest: Digest; bytes: number }>
  putImage(config: ImageConfig): Promise<ImageView>
  putBinary(config: BinaryConfig): Promise<BinaryView>
  /**
   * `reference` is what `runtime` says, such as `node@26`; imported by its recipe when it is not stored yet, and with
   * `isFresh` also when it is: what the machine has may have been updated.
   *
   * @throws QuiverError `not_found/BINARY_NOT_FOUND`, `invalid_argument/RUNTIME_INVALID`
   */
  resolveBinary(reference: string, isFresh: boolean): Promise<BinaryDetail>

  listImages(): Promise<readonly ImageView[]>
  /** `reference`: a digest, its first 6 or more hexadecimal digits, or a name (then the newest). */
  getImage(reference: string): Promise<ImageDetail>
  removeImage(reference: string): Promise<void>
  listBinaries(): Promise<readonly BinaryView[]>
  /** `reference`: a digest or its beginning, or what `runtime` says; nothing is imported. */
  getBinary(reference: string): Promise<BinaryDetail>
  removeBinary(reference: string): Promise<void>
  collectGarbage(): Promise<GarbageView>
}

export interface NodeControl {
  health(): Promise<HealthView>
  node(): Promise<NodeView>
  configuration(): Promise<ConfigView>
  top(): Promise<TopView>
  /** In the text format of Prometheus, version 0.0.4. */
  metrics(): Promise<string>
  /** In order. Ends by itself unless `follow`; ends without an error when `signal` aborts. */
  events(query: EventQuery, signal: AbortSignal): AsyncIterable<EventView>
}
