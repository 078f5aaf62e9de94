/** What every refusal of the command line has: a reason, an exit status of its own, what is wrong, and what to do. */

import assert from 'node:assert/strict'

import type { CommandResult } from './harness.ts'

export function assertRefused(
  { status, stderr }: CommandResult,
  expected: { readonly status: number; readonly reason: string; readonly says: RegExp },
): void {
  assert.match(stderr, new RegExp(`\\(${expected.reason}\\)`), stderr)
  assert.equal(status, expected.status, stderr)
  assert.match(stderr, expected.says)
  assert.match(stderr, /^hint: /m, stderr)
  assert.doesNotMatch(stderr, /^ {4}at /m)
}
