/** What a driver adds to the machinery of processes: how its programs are enclosed. */

import type { Phase } from '../../core/instance.ts'
import type { Isolation } from '../../core/task.ts'
import type { InstancePlan, Mount, ProbeReport, RevisionPlan } from '../driver.ts'

import type { CgroupHierarchy, Limits } from './cgroup.ts'
import type { Records } from './records.ts'

export interface Enclosure {
  readonly isolation: Isolation
  /** Less than this, `limits.memory` cannot be. */
  readonly memoryBytesMin: number
  /** The step of a start that ends when PID 1 runs, for those that an earlier control process started. */
  readonly phase: Phase['name']

  /** Its launch plans connect what is on the node's bridge. */
  readonly isBridgeable?: boolean

  probe(cgroups: CgroupHierarchy): Promise<ProbeReport>

  /** PID 1 stands still with the program where that is frozen, and answers nobody. */
  readonly isFrozenWhole: boolean

  /** @throws QuiverError `invalid_argument/SPEC_UNSUPPORTED` for what it cannot enclose; the least memory is seen to */
  check(plan: RevisionPlan, mounts: readonly Mount[]): void

  /** As `Driver.provision`, of what was checked. */
  provision(plan: RevisionPlan, signal: AbortSignal): Promise<void>

  /** As `Driver.prune`. */
  prune?(exists: (task: string, revision: number) => boolean): void

  /** Of the control group of the task's processes. */
  limits(plan: InstancePlan): Limits

  /** Writes what a launch needs into the folder of the instance; part of `prepare`, so it must be quick. */
  writeFiles(plan: InstancePlan, folder: string): Promise<void>

  /**
   * Part of `start`; may take its time, until `signal` aborts.
   *
   * @throws QuiverError `failed_precondition/START_FAILED` for what cannot be enclosed now
   */
  planLaunch(
    plan: InstancePlan,
    folder: string,
    signal: AbortSignal,
  ): LaunchPlan | Promise<LaunchPlan>
}

export interface LaunchPlan {
  /** What `ainit launch` is told beside what is the same for all: at least the arguments of bwrap. */
  readonly records: Records
  /** The step that ends when PID 1 runs. */
  readonly phase: Phase['name']
  /** Called once its sockets listen, which are `<prefix>.c`, `.p` and perhaps others. */
  readonly begin?: (prefix: string) => Promise<void>
}
