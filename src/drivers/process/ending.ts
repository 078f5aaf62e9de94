/** How an instance ended, in words: exit reports, and errors for starts that failed. */

import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { QuiverError } from '../../core/error.ts'
import type { ExitReason, ExitReport } from '../../core/instance.ts'
import { isLockHeld } from '../../fds/lock.ts'
import type { InstancePlan } from '../driver.ts'
import { readReport, writeReport } from '../record.ts'

import { isMachineFailure, parseEvent, type AinitEvent } from './channel.ts'
import { declaredPorts } from './records.ts'

export interface EndContext {
  /** Why Quiver ended it, when it did. */
  readonly stopReason: ExitReason | undefined
  /** For an end that nobody told of. */
  readonly fallback: ExitReason
  readonly isOutOfMemory: boolean
}

/** For the report of a machine that has gone. */
const REPORT_MS = 3000
const REPORT_RETRY_MS = 5

/** The connection was with a machine's inside: PID 1 beside it still has to find out how it ended, and to write that down. */
export async function untilReported(folder: string): Promise<void> {
  const deadline = AbortSignal.timeout(REPORT_MS)
  while (!deadline.aborted && (await isLockHeld(path.join(folder, 'lock')))) {
    await delay(REPORT_RETRY_MS)
  }
}

/** What PID 1 wrote of the end, and the report made from it; or the one that an earlier control process made. */
export async function concludeReport(
  folder: string,
  context: EndContext,
): Promise<{ readonly event: AinitEvent; readonly report: ExitReport }> {
  const text = await readFile(path.join(folder, 'out', 'exit'), 'utf8').catch(() => '')
  const event = parseEvent(text)
  const known = readReport(folder)
  const report = known ?? buildReport(event, context)
  if (known === undefined) writeReport(folder, report)
  return { event, report }
}

/**
 * @param event  the exit report that ainit wrote; its name is empty when there is none
 */
export function buildReport(event: AinitEvent, context: EndContext): ExitReport {
  const { name, fields } = event
  const wall = Number(fields['wall'])
  const signal = Number(fields['signal'] ?? 0)
  const hasStatus = name === 'exit' && signal === 0
  const status = hasStatus ? Number(fields['status']) : null
  const reason = findReason(event, status, context)
  // Without a report, its PID 1 was killed, and the process with it: by us, when it would not end by itself.
  const isKilled = name !== 'exit' && name !== 'error' && reason !== 'LOST'
  return {
    status,
    signal: isKilled ? constants.signals.SIGKILL : signal === 0 ? null : signal,
    isCoreDumped: fields['core'] === '1',
    reason,
    exitedAtMs: Number.isFinite(wall) ? Math.round(wall * 1000) : Date.now(),
  }
}

function findReason(event: AinitEvent, status: number | null, context: EndContext): ExitReason {
  const { name, fields } = event
  // A machine has a memory of its own, and its kernel alone knows.
  const isOutOfMemory = context.isOutOfMemory || Number(fields['oom'] ?? 0) > 0
  if (isOutOfMemory && status !== 0) return 'OUT_OF_MEMORY'
  // A process that ended by itself before we could reach it was not stopped by us, although we gave its start up.
  const isOwnEnd = context.stopReason === 'START_FAILED' && name === 'exit' && status !== null
  if (context.stopReason !== undefined && !isOwnEnd) return context.stopReason
  if (isMachineFailure(event)) return 'MACHINE_FAILED'
  if (name === 'error') return 'START_FAILED'
  if (name !== 'exit') return context.fallback
  if (status === null) return 'SIGNALED'
  return status === 0 ? 'COMPLETED' : 'EXITED'
}

/** Ended as it should: by itself with status 0, or because Quiver wanted it to. */
export function isSuccess({ reason, signal }: ExitReport): boolean {
  if (reason === 'COMPLETED') return true
  const isWanted = ['STOPPED', 'IDLE', 'REPLACED', 'SCALED_DOWN'].includes(reason)
  return isWanted && (signal === null || signal <= constants.signals.SIGKILL || signal === 15)
}

/** Errno of execve(2) → what it means here. */
const EXEC_ERRORS: Readonly<Record<string, string>> = {
  '2': 'there is no such program in the image or its binary (or its interpreter is missing)',
  '7': 'the arguments and environment are too long',
  '8': 'it is not an executable for this machine (exec format error)',
  '13': 'it is not executable (permission denied)',
}

export async function startFailure(
  plan: InstancePlan,
  folder: string,
  facts: {
    readonly isTimeout: boolean
    readonly elsewhere: readonly number[]
    readonly event: AinitEvent | undefined
    /** PID 1 has run. */
    readonly isInside: boolean
    readonly report: ExitReport
    readonly cause: unknown
  },
): Promise<QuiverError> {
  const { cause, event, report } = facts
  const logs = `See "quiver logs ${plan.task} --previous".`
  if (report.reason === 'OUT_OF_MEMORY') {
    return new QuiverError(
      'failed_precondition',
      'OUT_OF_MEMORY',
      `${plan.task} ran out of memory while it started`,
      {
        cause,
        hint: `Give it more with limits.memory (now ${plan.spec.limits.memoryBytes} bytes).`,
      },
    )
  }
  if (facts.isTimeout) return timeoutFailure(plan, facts.elsewhere, cause)
  if (event?.fields['step'] === 'exec') {
    const why = EXEC_ERRORS[event.fields['errno'] ?? ''] ?? event.fields['text']
    return new QuiverError(
      'failed_precondition',
      'START_FAILED',
      `cannot run ${plan.entry}: ${why}`,
      {
        cause,
        hint: 'Check "runtime", "file" and "command" in quiver.toml.',
      },
    )
  }
  if (event !== undefined && isMachineFailure(event)) {
    const text = `the machine of ${plan.task} failed: ${event.fields['text']}`
    return new QuiverError('failed_precondition', 'START_FAILED', text, { cause, hint: logs })
  }
  if (event !== undefined) {
    const text = `cannot start ${plan.task}: ${event.fields['step']}: ${event.fields['text']}`
    return new QuiverError('failed_precondition', 'START_FAILED', text, { cause, hint: logs })
  }
  const said = await readFile(path.join(folder, 'launch.log'), 'utf8').catch(() => '')
  // Whoever was killed while it made the sandbox has nothing to say.
  const isMade = facts.isInside || said === ''
  if (report.status !== null || (report.signal !== null && isMade)) {
    const how =
      report.status === null
        ? `was ended by signal ${report.signal}`
        : `exited with status ${report.status}`
    return new QuiverError(
      'failed_precondition',
      'EXITED_EARLY',
      `${plan.task} ${how} before it was ready`,
      {
        cause,
        hint: logs,
      },
    )
  }
  return unmadeFailure(plan, said, cause)
}

/** @param said  by bwrap */
function unmadeFailure(plan: InstancePlan, said: string, cause: unknown): QuiverError {
  const hidden = plan.mounts.find(({ source }) => said.includes(`${source}: Permission denied`))
  if (hidden !== undefined) {
    const text = `${plan.task} may not reach ${hidden.source}: it runs as a user of its own`
    return new QuiverError('failed_precondition', 'START_FAILED', text, {
      cause,
      hint: `Let everybody read it and enter what it is in: chmod o+rX ${hidden.source}, and chmod o+x each folder above it.`,
    })
  }
  const message = `the sandbox of ${plan.task} could not be made: ${said.trim() || String(cause)}`
  return new QuiverError('failed_precondition', 'START_FAILED', message, {
    cause,
    hint: 'Run "quiver doctor" to see what this machine lacks.',
  })
}

function timeoutFailure(
  plan: InstancePlan,
  elsewhere: readonly number[],
  cause: unknown,
): QuiverError {
  const { startTimeoutMs } = plan.spec.limits
  const declared = declaredPorts(plan)
  const ports = declared.join(', ')
  if (elsewhere.length > 0) {
    const message = `${plan.task} listens on port ${elsewhere.join(', ')}, but ${ports} is declared`
    return new QuiverError('failed_precondition', 'WRONG_PORT', message, {
      cause,
      hint: 'Let it listen on $PORT, or change "port" in quiver.toml.',
    })
  }
  const place = declared.length === 1 ? `port ${ports}` : `all of the ports ${ports}`
  const message = `${plan.task} did not listen on ${place} within ${startTimeoutMs} ms`
  return new QuiverError('deadline_exceeded', 'START_TIMEOUT', message, {
    cause,
    hint: `Let it listen on $PORT, or raise limits.start_timeout. See "quiver logs ${plan.task} --previous".`,
  })
}
