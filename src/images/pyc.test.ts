import assert from 'node:assert/strict'
import { lstatSync, type BigIntStats } from 'node:fs'
import { suite, test } from 'node:test'

import { sourceOfPyc, withoutFileTimes } from './pyc.ts'

const SOURCE: BigIntStats = lstatSync(import.meta.filename, { bigint: true })
const CODE = Buffer.from('code')

function pyc(flags: number, timeS: bigint, size: bigint): Buffer {
  const header = Buffer.from('magc000000000000')
  header.writeUInt32LE(flags, 4)
  header.writeUInt32LE(Number(BigInt.asUintN(32, timeS)), 8)
  header.writeUInt32LE(Number(BigInt.asUintN(32, size)), 12)
  return Buffer.concat([header, CODE])
}

const timeS = SOURCE.mtimeNs / 1_000_000_000n

suite('withoutFileTimes()', () => {
  test('makes a fresh one unchecked, and changes nothing else', () => {
    const changed = withoutFileTimes(pyc(0, timeS, SOURCE.size), SOURCE)
    assert.deepEqual(changed, pyc(1, 0n, 0n))
  })

  test('keeps one that is unchecked already', () => {
    assert.deepEqual(withoutFileTimes(pyc(1, 5n, 6n), SOURCE), pyc(1, 5n, 6n))
  })

  const stale: readonly [why: string, bytes: Buffer][] = [
    ['another time', pyc(0, timeS + 1n, SOURCE.size)],
    ['another size', pyc(0, timeS, SOURCE.size + 1n)],
    ['a checked hash', pyc(3, timeS, SOURCE.size)],
    ['no whole header', Buffer.from('magc')],
  ]
  for (const [why, bytes] of stale) {
    test(`drops one with ${why}`, () => {
      assert.equal(withoutFileTimes(bytes, SOURCE), undefined)
    })
  }
})

test('sourceOfPyc() finds the source of a compiled module, and of nothing else', () => {
  const cases: readonly [path: string, source: string | undefined][] = [
    ['/lib/a/__pycache__/b.cpython-311.pyc', '/lib/a/b.py'],
    ['/lib/a/__pycache__/b.cpython-311.opt-1.pyc', '/lib/a/b.py'],
    ['/lib/a/b.pyc', undefined],
    ['/lib/a/__pycache__/b.txt', undefined],
  ]
  for (const [path, source] of cases) assert.equal(sourceOfPyc(path), source)
})
