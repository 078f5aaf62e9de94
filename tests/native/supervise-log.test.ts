/** The log of a node that runs in the background: `log` and `log_bytes` of `ainit supervise`. */

import assert from 'node:assert/strict'
import { statSync, watch } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'

import { openFolder, shell, supervise } from './supervise-harness.ts'

const LINES = 3000

test('has all output, in two files of about log_bytes, cut between lines', async (t) => {
  const folder = await openFolder(t)
  const flood = `i=0; while [ $i -lt ${LINES} ]; do echo "line $i"; i=$((i+1)); done`
  const process = ['process=control', ...shell(`${flood}; echo over; exec sleep 1000`)]
  const node = await supervise(t, [`log=${folder}/log`, 'log_bytes=12000', ...process], folder)
  await untilLogged(folder, 'over')
  assert.equal(await node.end(), 0)
  assert.equal(node.said, '')
  const lines = [...(await linesOf(folder, 'log.1')), ...(await linesOf(folder, 'log'))]
  assert.equal(lines.at(-1), 'supervise: ended')
  const flooded = lines.filter((line) => line.startsWith('line '))
  const numbers = flooded.map((line) => Number(line.slice('line '.length)))
  const [first = Number.NaN] = numbers
  const expected = Array.from({ length: LINES - first }, (_, index) => first + index)
  assert.deepEqual(numbers, expected)
  // Cut lines would be neither.
  const ours = lines.filter((line) => line.startsWith('supervise: ') || line === 'over')
  assert.equal(lines.length, flooded.length + ours.length)
  const files = (await readdir(folder)).filter((name) => name.startsWith('log'))
  assert.deepEqual(files.toSorted(), ['log', 'log.1'])
  // What one read gave is not divided further: 64 KiB at most.
  for (const name of files) assert.ok(statSync(path.join(folder, name)).size < 12_000 + 65_536)
})

test('is appended to by the next node', async (t) => {
  const folder = await openFolder(t)
  for (const line of ['first', 'second']) {
    const process = ['process=control', ...shell(`echo ${line}; exec sleep 1000`)]
    const node = await supervise(t, [`log=${folder}/log`, ...process], folder)
    await untilLogged(folder, line)
    await node.end()
  }
  const lines = await linesOf(folder, 'log')
  assert.ok(lines.includes('first') && lines.includes('second'))
})

test('that cannot be opened is named', async (t) => {
  const folder = await openFolder(t)
  const process = ['process=control', ...shell('exec sleep 1000')]
  const node = await supervise(t, [`log=${folder}/no/log`, ...process], folder)
  assert.equal(await node.exited, 71)
  assert.match(node.said, /cannot open .*\/no\/log: No such file/)
})

async function linesOf(folder: string, name: string): Promise<readonly string[]> {
  const text = await readFile(path.join(folder, name), 'utf8').catch(() => '')
  return text.trimEnd().split('\n')
}

/** Looks after each change of the folder. */
async function untilLogged(folder: string, line: string): Promise<void> {
  const watcher = watch(folder)
  let changed = Promise.withResolvers<void>()
  watcher.on('change', () => changed.resolve())
  while (!(await linesOf(folder, 'log')).includes(line)) {
    await changed.promise
    changed = Promise.withResolvers()
  }
  watcher.close()
}
