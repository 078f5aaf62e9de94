import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { formatAge, formatBytes, formatMilliseconds } from './format.ts'
import { takeGlobals } from './globals.ts'
import { parseCores, parsePercent, parsePublish, parseSharedFolder, parseSince } from './parse.ts'
import { formatTable } from './table.ts'
import { formatWaterfall } from './waterfall.ts'

suite('parsePublish()', () => {
  const valid: readonly [text: string, address: string, hostPort: number, port: number][] = [
    ['9000:8000', '127.0.0.1', 9000, 8000],
    ['8000', '127.0.0.1', 8000, 8000],
    ['0:8000', '127.0.0.1', 0, 8000],
    ['0.0.0.0:9000:8000', '0.0.0.0', 9000, 8000],
    ['[::1]:9000:8000', '::1', 9000, 8000],
  ]
  for (const [text, address, hostPort, port] of valid) {
    test(`reads ${text}`, () => {
      assert.deepEqual(parsePublish(text), { address, hostPort, port })
    })
  }
  for (const text of [
    '',
    'x',
    '9000:',
    ':8000',
    '9000:0',
    '70000:1',
    '1:70000',
    '1.2.3.4:80',
    '1:2:3',
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parsePublish(text), { reason: 'PUBLISH_INVALID' })
    })
  }
})

suite('parseSharedFolder()', () => {
  const valid: readonly [text: string, source: string, target: string, isWritable: boolean][] = [
    ['/srv/in', '/srv/in', '/srv/in', false],
    ['./in/', './in/', '/in', false],
    ['../in:rw', '../in', '/in', true],
    ['.', '.', '/', false],
    ['in:/a/../data/', 'in', '/data', false],
    ['in:/data:rw', 'in', '/data', true],
  ]
  for (const [text, source, target, isWritable] of valid) {
    test(`reads ${text}`, () => {
      assert.deepEqual(parseSharedFolder(text), { source, target, isWritable })
    })
  }
  for (const text of ['', ':/data', 'in:data', 'in:', 'in:/data:ro', 'in:/a:/b', 'in:rw:/data']) {
    test(`refuses "${text}"`, () => {
      assert.throws(() => parseSharedFolder(text), { reason: 'DIR_INVALID' })
    })
  }
})

test('parsePercent(), parseCores() and parseSince() read what is documented', () => {
  assert.deepEqual(['10%', '100'].map(parsePercent), [10, 100])
  assert.deepEqual(['1', '0.5', '0.001'].map(parseCores), [1000, 500, 1])
  assert.equal(parseSince('10m', 1_000_000), 400_000)
  assert.equal(parseSince('2026-05-01T12:00:00Z'), Date.UTC(2026, 4, 1, 12))
  for (const text of ['0', '-1', '.5', '1 core']) {
    assert.throws(() => parseCores(text), { reason: 'CPU_INVALID' })
  }
  for (const text of ['0%', '101%', '1.5%']) {
    assert.throws(() => parsePercent(text), { reason: 'PERCENT_INVALID' })
  }
})

suite('takeGlobals()', () => {
  test('takes global flags from before and after the command, but not after --', () => {
    const argv = ['--host', '/a.sock', 'run', '--token=t', 'x', '--', '--host', 'y']
    assert.deepEqual(takeGlobals(argv), {
      argv: ['run', 'x', '--', '--host', 'y'],
      env: { QUIVER_HOST: '/a.sock', QUIVER_TOKEN: 't' },
    })
  })
  test('refuses a flag without its value', () => {
    assert.throws(() => takeGlobals(['ps', '--host']), { reason: 'VALUE_MISSING' })
  })
})

test('quantities are short and have units', () => {
  assert.deepEqual([0, 999, 4300, 123_000_000, 5 * 1024 ** 3].map(formatBytes), [
    '0 B',
    '999 B',
    '4.2 KiB',
    '117 MiB',
    '5.0 GiB',
  ])
  assert.deepEqual([0.42, 41, 1250].map(formatMilliseconds), ['0.4 ms', '41 ms', '1.25 s'])
  assert.deepEqual(
    [3, 700, 18_000, 800_000].map((s) => formatAge(0, s * 1000)),
    ['3s', '11m', '5h', '9d'],
  )
})

test('columns are aligned, whatever their colours', () => {
  const rows = [
    ['a', '\u001b[31mred\u001b[0m', 'x'],
    ['long', 'b', 'y'],
  ]
  assert.equal(
    formatTable(['N', 'C', 'L'], rows),
    'N     C    L\na     \u001b[31mred\u001b[0m  x\nlong  b    y\n',
  )
})

test('a waterfall has a bar for each phase, none beyond its end', () => {
  const text = formatWaterfall([
    { name: 'queue', startMs: 0, durationMs: 0 },
    { name: 'exec', startMs: 0, durationMs: 30 },
    { name: 'listen', startMs: 30, durationMs: 10 },
  ])
  const bars = text.split('\n').map((line) => line.replace(/[^█]/g, '').length)
  assert.deepEqual(bars, [1, 36, 12, 0, 0])
  assert.equal(formatWaterfall([]), '')
})
