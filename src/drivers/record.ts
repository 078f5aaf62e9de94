/**
 * What survives of an instance in its folder: its plan, why it was told to stop, and how it
 * ended. A file that cannot be written or read is as one that is not there: it only makes the story poorer.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'

import { EXIT_REASONS, type ExitReason, type ExitReport } from '../core/instance.ts'

import type { InstancePlan } from './driver.ts'

const PLAN = 'plan.json'
const STOP = 'stop'
const REPORT = 'report.json'

/** The environment stays out of it, also what the manifest says of it: it may hold secrets. */
export function writePlan(folder: string, plan: InstancePlan): void {
  const written = { ...plan, env: {}, spec: { ...plan.spec, env: {} } }
  writeFileSync(path.join(folder, PLAN), JSON.stringify(written), { mode: 0o600 })
}

/** Undefined for a folder that never got one. */
export async function readPlan(folder: string): Promise<InstancePlan | undefined> {
  try {
    const plan: InstancePlan = JSON.parse(await readFile(path.join(folder, PLAN), 'utf8'))
    return plan
  } catch {
    return undefined
  }
}

/** Written before the first signal, so that a successor of this process neither routes to it nor takes its end for a crash. */
export function writeStopReason(folder: string, reason: ExitReason): void {
  writeQuietly(path.join(folder, STOP), reason)
}

export function readStopReason(folder: string): ExitReason | undefined {
  const reason = readQuietly(path.join(folder, STOP))
  return isReason(reason) ? reason : undefined
}

export function writeReport(folder: string, report: ExitReport): void {
  writeQuietly(path.join(folder, REPORT), JSON.stringify(report))
}

export function readReport(folder: string): ExitReport | undefined {
  try {
    const report: ExitReport = JSON.parse(readQuietly(path.join(folder, REPORT)))
    return report
  } catch {
    return undefined
  }
}

function isReason(text: string): text is ExitReason {
  return text in EXIT_REASONS
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function writeQuietly(file: string, content: string): void {
  try {
    writeFileSync(file, content, { mode: 0o600 })
  } catch {
    // A full disk must not keep an instance from ending.
  }
}
