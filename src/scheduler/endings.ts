/** How instances end, in words for people and in errors for clients. Pure. */

import { QuiverError } from '../core/error.ts'
import { EXIT_REASONS, type ExitReason, type ExitReport } from '../core/instance.ts'
import type { ErrorBody } from '../core/link.ts'
import type { TaskSpec } from '../core/task.ts'

import type { ManagedInstance } from './managed.ts'

/** Reasons that no decision of ours led to. `LOST` is none: it went with its node, and is no fault of its own. */
const UNEXPECTED: ReadonlySet<ExitReason> = new Set([
  'COMPLETED',
  'EXITED',
  'SIGNALED',
  'OUT_OF_MEMORY',
  'KILLED',
  'MACHINE_FAILED',
])

export function isUnexpected({ reason }: ExitReport): boolean {
  return UNEXPECTED.has(reason)
}

export function describeExit(report: ExitReport, spec: TaskSpec): string {
  const { reason, status, signal, isCoreDumped } = report
  const figure =
    reason === 'OUT_OF_MEMORY'
      ? ` (${spec.limits.memoryBytes / 1024 ** 2} MiB)`
      : reason === 'EXITED'
        ? ` (${status})`
        : reason === 'SIGNALED'
          ? ` (${signal}${isCoreDumped ? ', core dumped' : ''})`
          : ''
  return `${EXIT_REASONS[reason]}${figure}`
}

/** What a client is told whose request the end broke. */
export function exitError(
  { instance }: ManagedInstance,
  report: ExitReport,
  hint: string,
): ErrorBody {
  const { task, spec } = instance.plan
  const isOutOfMemory = report.reason === 'OUT_OF_MEMORY'
  return {
    code: 'unavailable',
    reason: isOutOfMemory ? 'OUT_OF_MEMORY' : 'INSTANCE_DIED',
    message: `the instance of ${task} ended while it answered: ${describeExit(report, spec)}`,
    hint,
  }
}

export function errorBody(thrown: unknown): ErrorBody {
  const { code, reason, message, hint } = QuiverError.from(thrown)
  return { code, reason, message, ...(hint === undefined ? {} : { hint }) }
}

export function errorOf({ code, reason, message, hint }: ErrorBody): QuiverError {
  return new QuiverError(code, reason, message, hint === undefined ? {} : { hint })
}

/** For requests that may not start what they need. */
export function notRunning(task: string): ErrorBody {
  return {
    code: 'unavailable',
    reason: 'NOT_RUNNING',
    message: `the task ${task} has no instance, and requests do not start one`,
    hint: `Start it with "quiver start ${task}" or "quiver scale ${task} 1".`,
  }
}
