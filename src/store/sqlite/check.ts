/** Has a database file verified before it is opened (`verifier.ts`), and turns the verdict into an error. */

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { QuiverError } from '../../core/error.ts'

import { acknowledgedPath, readAcknowledged } from './acknowledged.ts'
import { stateCorrupt, stateLocked, stateUnavailable } from './errors.ts'
import type { DamagedRow } from './set-aside.ts'
import type { Verdict } from './verifier.ts'

/**
 * @returns rows to set aside before it is used: their values are damaged, and nothing else is
 * @throws QuiverError `data_loss/STATE_CORRUPT`, `failed_precondition/STATE_LOCKED`, `failed_precondition/STATE_TOO_NEW`
 */
export async function checkDatabase(path: string): Promise<readonly DamagedRow[]> {
  if ((await sizeOf(path)) === 0) {
    const acknowledged = readAcknowledged(path)
    if (acknowledged === 0) return []
    const finding = `it is missing or empty, but ${acknowledgedPath(path)} says that revision ${acknowledged} was acknowledged`
    throw stateCorrupt(path, 'the file', finding)
  }
  const verdict = await runVerifier(path)
  if (verdict.kind === 'sound') return []
  if (verdict.kind === 'damagedRows') return verdict.rows
  throw failureOf(path, verdict)
}

function failureOf(
  path: string,
  verdict: Exclude<Verdict, { kind: 'sound' } | { kind: 'damagedRows' }>,
): QuiverError {
  switch (verdict.kind) {
    case 'locked':
      return stateLocked(path)
    case 'unusable':
      return stateUnavailable(path, verdict.message)
    case 'tooNew':
      return new QuiverError(
        'failed_precondition',
        'STATE_TOO_NEW',
        `${path} has format ${verdict.version}`,
        {
          hint: 'Start the newer Quiver that wrote it, or restore a backup made by this one.',
          details: { path, version: verdict.version },
        },
      )
    case 'corrupt':
      break
  }
  return stateCorrupt(path, 'the file', verdict.findings.join('; '))
}

async function runVerifier(path: string): Promise<Verdict> {
  const { promise, resolve } = Promise.withResolvers<Verdict>()
  const args = ['--disable-warning=ExperimentalWarning', verifierPath(), path]
  execFile(process.execPath, args, (error, stdout, stderr) => {
    const verdict = parseVerdict(stdout)
    if (verdict) return resolve(verdict)
    const end = error?.signal
      ? `was ended by ${error.signal}`
      : `failed: ${stderr.trim().slice(-400)}`
    resolve({ kind: 'corrupt', findings: [`the process that verified it ${end}`] })
  })
  return promise
}

/** Undefined when the verifier did not get as far as its verdict. */
function parseVerdict(text: string): Verdict | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined
  // It is our own program, and it writes all or nothing.
  const verdict: Verdict = JSON.parse(text)
  return verdict
}

/** Unbuilt it is TypeScript, as this file is. */
function verifierPath(): string {
  const name = import.meta.url.endsWith('.ts') ? './verifier.ts' : './verifier.js'
  return fileURLToPath(new URL(name, import.meta.url))
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}
