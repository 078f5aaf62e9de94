import assert from 'node:assert/strict'
import { test } from 'node:test'

import { digestOf } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'

import { formatBytes, formatMeasuredBytes } from './format.ts'
import { renderError } from './print.ts'
import { formatTree } from './tree.ts'

test('the reason of an error with details stands beside what happened', () => {
  const message = 'quiver.toml is not valid\n\nquiver.toml:1:1: name: is missing\n'
  const error = new QuiverError('invalid_argument', 'BROKEN', message, { hint: 'Correct it.' })
  const lines = [
    'error: quiver.toml is not valid (BROKEN)',
    '',
    'quiver.toml:1:1: name: is missing',
  ]
  assert.equal(renderError(error), [...lines, '', 'hint: Correct it.'].join('\n'))
})

test('a line feed in the name of a file is no new row', () => {
  const file = { kind: 'file', bytes: 1, digest: digestOf('x'), isExecutable: false } as const
  assert.equal(formatTree([{ ...file, path: 'two\nlines' }]).split('\n').length, 3)
})

test('bytes have three digits at most, and what nothing measures is not shown as nothing', () => {
  const shown = [0, 999, 9.4 * 1024, 9.96 * 1024 ** 2, 512 * 1024 ** 3].map(formatBytes)
  assert.deepEqual(shown, ['0 B', '999 B', '9.4 KiB', '10 MiB', '512 GiB'])
  assert.equal(formatMeasuredBytes(0), '-')
})
