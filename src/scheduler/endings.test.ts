import assert from 'node:assert/strict'
import { test } from 'node:test'

import { spec } from '../../tests/fixtures/samples.ts'
import { QuiverError } from '../core/error.ts'
import { EXIT_REASONS, type ExitReason, type ExitReport } from '../core/instance.ts'

import { describeExit, errorBody, errorOf, isUnexpected } from './endings.ts'

function report(reason: ExitReason, facts: Partial<ExitReport> = {}): ExitReport {
  return { status: null, signal: null, isCoreDumped: false, reason, exitedAtMs: 0, ...facts }
}

test('an end is told in a sentence, with a figure where one helps', () => {
  assert.match(describeExit(report('EXITED', { status: 3 }), spec), /\(3\)$/)
  assert.match(describeExit(report('OUT_OF_MEMORY'), spec), /\(128 MiB\)$/)
  assert.match(describeExit(report('SIGNALED', { signal: 11 }), spec), /\(11\)$/)
  const dumped = report('SIGNALED', { signal: 11, isCoreDumped: true })
  assert.match(describeExit(dumped, spec), /\(11, core dumped\)$/)
  assert.equal(describeExit(report('IDLE'), spec), EXIT_REASONS.IDLE)
})

test('what nobody decided is unexpected, what we did is not', () => {
  const unexpected = [
    'COMPLETED',
    'EXITED',
    'SIGNALED',
    'OUT_OF_MEMORY',
    'KILLED',
    'MACHINE_FAILED',
  ] as const
  for (const reason of unexpected) assert.ok(isUnexpected(report(reason)), reason)
  const wanted = ['STOPPED', 'IDLE', 'REPLACED', 'SCALED_DOWN', 'WALL_TIME', 'LOST'] as const
  for (const reason of wanted) assert.ok(!isUnexpected(report(reason)), reason)
})

test('an error keeps its code, reason, message and hint on its way to a client and back', () => {
  const error = new QuiverError('not_found', 'NO_SUCH', 'gone', { hint: 'Look elsewhere.' })
  assert.deepEqual(errorBody(errorOf(errorBody(error))), errorBody(error))
  assert.equal(errorBody(new TypeError('oops')).reason, 'UNEXPECTED')
})
