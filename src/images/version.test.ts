import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { compareVersions, versionFits } from './version.ts'

test('compareVersions() orders as people do', () => {
  const sorted = [
    '1.2',
    '1.2.0-rc1',
    '1.2.0-rc2',
    '1.2.0',
    '1.10.0',
    '3.0.2',
    '3.0.2a',
    '26',
    '260',
  ]
  assert.deepEqual(sorted.toReversed().toSorted(compareVersions), sorted)
})

suite('versionFits()', () => {
  const cases: readonly [asked: string | undefined, version: string, fits: boolean][] = [
    [undefined, '26.10.0', true],
    ['26', '26.10.0', true],
    ['26.1', '26.1.0', true],
    ['26.1', '26.10.0', false],
    ['26', '260.0.0', false],
    ['2', '26.10.0', false],
    ['26.10.0', '26.10.0', true],
    ['26.10.0.1', '26.10.0', false],
    ['3.0', '3.0a', false],
  ]
  for (const [asked, version, fits] of cases) {
    test(`${asked ?? 'nothing'} ${fits ? 'fits' : 'does not fit'} ${version}`, () => {
      assert.equal(versionFits(asked, version), fits)
    })
  }
})
