import assert from 'node:assert/strict'
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'

import { temporaryFolder } from '../../tests/fixtures/images.ts'

import { EventLog } from './events.ts'

const event = (message: string) => ({ type: 'deployed', message }) as const

test('events and their numbers survive a restart', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'events.log')
  const first = new EventLog(file)
  first.emit({ ...event('one'), task: 'hello' })
  const second = new EventLog(file)
  second.emit(event('two'))
  assert.deepEqual(
    second.list().map(({ sequence, message, task }) => [sequence, message, task]),
    [
      [1, 'one', 'hello'],
      [2, 'two', null],
    ],
  )
})

test('a line that was cut by a crash is left out, and the next one is whole', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'events.log')
  new EventLog(file).emit(event('one'))
  await appendFile(file, '{"sequence":2,"type":"depl')
  new EventLog(file).emit(event('two'))
  assert.deepEqual(
    new EventLog(file).list().map(({ message }) => message),
    ['one', 'two'],
  )
})

test('lines that are no events are left out', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'events.log')
  await writeFile(file, 'null\n5\n{}\n\u0000\u0001\n{"sequence":"1"}\n')
  const log = new EventLog(file)
  assert.deepEqual(log.list(), [])
  log.emit(event('one'))
  assert.equal(log.list()[0]?.sequence, 1)
})

test('a file that can be neither read nor written loses nothing but the past', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'events.log')
  await mkdir(file)
  const log = new EventLog(file)
  log.emit(event('one'))
  assert.equal(log.list().length, 1)
})

test('a file that is full gets a predecessor', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'events.log')
  await writeFile(file, `${'x'.repeat(4 * 1024 * 1024)}\n`)
  const log = new EventLog(file)
  log.emit(event('one'))
  assert.equal((await readFile(`${file}.1`)).length, 4 * 1024 * 1024 + 1)
  assert.equal((await readFile(file, 'utf8')).split('\n').length, 2)
})

test('a subscription hears of each event until it is disposed', async () => {
  await using folder = await temporaryFolder()
  const log = new EventLog(path.join(folder.path, 'events.log'))
  const heard: string[] = []
  const subscription = log.subscribe(({ message }) => heard.push(message))
  log.emit(event('one'))
  subscription[Symbol.dispose]()
  log.emit(event('two'))
  assert.deepEqual(heard, ['one'])
})
