import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, beforeEach, suite, test } from 'node:test'

import { followLog, mergeLogs, readLog, type LogLine, type LogSelection } from './log.ts'

const root = await mkdtemp(path.join(tmpdir(), 'quiver-log-'))
let folder = ''
let folders = 0
after(async () => rm(root, { recursive: true }))
beforeEach(async () => {
  folder = path.join(root, `${++folders}`)
  await mkdir(folder)
})

suite('readLog()', () => {
  test('has lines with their time and stream, older file first', async () => {
    await write('log.1', record(1000, 1, 'one\ntwo\n'))
    await write('log', record(2000, 2, 'three\n'), record(3000, 3, 'four\n'))
    assert.deepEqual(await Array.fromAsync(readLog(folder)), [
      { atMs: 1000, stream: 'stdout', text: 'one' },
      { atMs: 1000, stream: 'stdout', text: 'two' },
      { atMs: 2000, stream: 'stderr', text: 'three' },
      { atMs: 3000, stream: 'quiver', text: 'four' },
    ])
  })

  const joined: readonly (readonly [
    name: string,
    records: readonly Buffer[],
    lines: readonly string[],
  ])[] = [
    [
      'a line in several records',
      [record(1, 1, 'a'), record(2, 1, 'b'), record(3, 1, 'c\n')],
      ['1 abc'],
    ],
    [
      'streams apart',
      [record(1, 1, 'out'), record(2, 2, 'err\n'), record(3, 1, 'put\n')],
      ['2 err', '1 output'],
    ],
    ['a last line without its end', [record(1, 1, 'a\nlast')], ['1 a', '1 last']],
    ['empty lines', [record(1, 1, '\n\na\n')], ['1 ', '1 ', '1 a']],
    ['a carriage return at the end of a line', [record(1, 1, 'a\r\nb\n')], ['1 a', '1 b']],
    ['empty records', [record(1, 1, ''), record(2, 1, 'a\n')], ['2 a']],
    ['bytes that are not UTF-8', [record(1, 1, Buffer.of(0x61, 0xff, 0x0a))], ['1 a\u{fffd}']],
    [
      'a character split between records',
      [record(1, 1, Buffer.of(0xc3)), record(2, 1, Buffer.of(0xbc, 0x0a))],
      ['1 ü'],
    ],
    [
      'an unfinished record',
      [record(1, 1, 'a\n'), record(2, 1, 'lost\n').subarray(0, 15)],
      ['1 a'],
    ],
    ['an unfinished header', [record(1, 1, 'a\n'), record(2, 1, 'lost\n').subarray(0, 5)], ['1 a']],
    [
      'what is not a record',
      [record(1, 1, 'a\n'), record(2, 9, 'b\n'), record(3, 1, 'c\n')],
      ['1 a'],
    ],
  ]
  for (const [name, records, lines] of joined) {
    test(`reads ${name}`, async () => {
      await write('log', ...records)
      assert.deepEqual(await textsOf(), lines)
    })
  }

  test('a task cannot forge records', async () => {
    await write('log', record(1, 1, Buffer.concat([record(7, 3, 'forged'), Buffer.from('\n')])))
    const [line, ...others] = await Array.fromAsync(readLog(folder))
    assert.deepEqual(others, [])
    assert.partialDeepStrictEqual(line, { atMs: 1, stream: 'stdout' })
  })

  test('a line goes on in the next file', async () => {
    await write('log.1', record(1, 1, 'be'))
    await write('log', record(2, 1, 'gun\n'))
    assert.deepEqual(await textsOf(), ['1 begun'])
  })

  test('damage in one file leaves the other', async () => {
    await write('log.1', record(1, 1, 'a\n'), Buffer.alloc(400_000, 0xff))
    await write('log', record(2, 1, 'b\n'))
    assert.deepEqual(await textsOf(), ['1 a', '2 b'])
  })

  test('long lines are cut at 16 KiB, between characters', async () => {
    const text = `x${'ü'.repeat(20_000)}`
    const bytes = Buffer.from(`${text}\nnext\n`)
    await write(
      'log',
      record(1, 1, bytes.subarray(0, 30_001)),
      record(2, 1, bytes.subarray(30_001)),
    )
    const lines = (await Array.fromAsync(readLog(folder))).map((line) => line.text)
    assert.equal(lines.at(-1), 'next')
    assert.equal(lines.slice(0, -1).join(''), text)
    assert.ok(lines.every((line) => Buffer.byteLength(line) <= 16_384))
    assert.ok(lines.every((line) => !line.includes('\u{fffd}')))
  })

  test('has nothing when there is no log or no folder', async () => {
    assert.deepEqual(await textsOf(), [])
    await rm(folder, { recursive: true })
    assert.deepEqual(await textsOf(), [])
  })

  const selections: readonly (readonly [selection: LogSelection, texts: readonly string[]])[] = [
    [{ sinceMs: 5 }, ['5 e5', '6 o6', '7 e7']],
    [{ tail: 2 }, ['6 o6', '7 e7']],
    [{ tail: 0 }, []],
    [{ tail: 100 }, ['1 o1', '2 o2', '3 e3', '4 o4', '5 e5', '6 o6', '7 e7']],
    [{ grep: 'e' }, ['3 e3', '5 e5', '7 e7']],
    [{ grep: /^o[24]$/g }, ['2 o2', '4 o4']],
    [{ grep: 'o', tail: 2, sinceMs: 2 }, ['4 o4', '6 o6']],
  ]
  for (const [selection, texts] of selections) {
    const name = Object.entries(selection).map(([key, value]) => `${key} ${value}`)
    test(`selects ${name.join(', ')}`, async () => {
      await write('log.1', record(1, 1, 'o1\n'), record(2, 1, 'o2\n'), record(3, 2, 'e3\n'))
      await write(
        'log',
        record(4, 1, 'o4\n'),
        record(5, 2, 'e5\n'),
        record(6, 1, 'o6\n'),
        record(7, 2, 'e7'),
      )
      assert.deepEqual(await textsOf(selection), texts)
    })
  }

  test('the last lines of a large log are the last ones', async () => {
    const records = Array.from({ length: 50_000 }, (_, index) =>
      record(index, 1, `line ${index}\n`),
    )
    await write('log', ...records)
    assert.deepEqual(await textsOf({ tail: 3 }), [
      '49997 line 49997',
      '49998 line 49998',
      '49999 line 49999',
    ])
  })
})

suite('followLog()', { timeout: 30_000 }, () => {
  test('goes on with what is written', async () => {
    await write('log', record(1, 1, 'a\nhal'))
    await using follower = follow()
    assert.equal(await follower.next(), '1 a')
    const next = follower.next()
    await append(record(2, 1, 'f\n'))
    assert.equal(await next, '1 half')
  })

  test('begins before there is a log', async () => {
    await using follower = follow()
    const next = follower.next()
    await append(record(1, 1, 'a\n'))
    assert.equal(await next, '1 a')
  })

  test('has every line once across rotations', async () => {
    await using follower = follow()
    const count = 2000
    const written = (async () => {
      for (let index = 0; index < count; index++) {
        if (index % 400 === 399) {
          // As ainit: renamed, then created. Two in a row faster than a reader would lose lines, so it is awaited.
          await follower.seen(index - 1)
          await rename(path.join(folder, 'log'), path.join(folder, 'log.1'))
        }
        await append(record(index, 1, `line ${index}\n`))
      }
    })()
    for (let index = 0; index < count; index++)
      assert.equal(await follower.next(), `${index} line ${index}`)
    await written
  })

  test('tail is about what is there, grep about all', async () => {
    await write('log', record(1, 1, 'a1\na2\nb3\na4\n'))
    await using follower = follow({ tail: 2, grep: 'a' })
    assert.equal(await follower.next(), '1 a2')
    assert.equal(await follower.next(), '1 a4')
    const next = follower.next()
    await append(record(2, 1, 'b5\na6\n'))
    assert.equal(await next, '2 a6')
  })

  test('ends when it is aborted, with the line that has no end', async () => {
    await write('log', record(1, 1, 'a\nrest'))
    await using follower = follow()
    assert.equal(await follower.next(), '1 a')
    const next = follower.next()
    follower.abort()
    assert.equal(await next, '1 rest')
    assert.equal(await follower.next(), undefined)
  })

  test('ends when the folder goes', async () => {
    await write('log', record(1, 1, 'a\n'))
    await using follower = follow()
    assert.equal(await follower.next(), '1 a')
    const next = follower.next()
    await rm(folder, { recursive: true })
    assert.equal(await next, undefined)
  })
})

test('mergeLogs() has the lines of all logs in order of time', async () => {
  const merged = mergeLogs([linesAt('a', 1, 4, 4, 9), linesAt('b'), linesAt('c', 2, 4, 5)])
  const texts = (await Array.fromAsync(merged)).map(({ atMs, instance }) => `${atMs}${instance}`)
  assert.deepEqual(texts, ['1a', '2c', '4a', '4a', '4c', '5c', '9a'])
})

test('mergeLogs() leaves a log as it is whose clock was set back', async () => {
  const merged = mergeLogs([linesAt('a', 1, 9, 2, 3), linesAt('b', 4, 5)])
  const texts = (await Array.fromAsync(merged)).map(({ atMs, instance }) => `${atMs}${instance}`)
  assert.deepEqual(texts, ['1a', '4b', '5b', '9a', '2a', '3a'])
})

test('mergeLogs() closes its logs when it is left early', async () => {
  await write('log', record(1, 1, 'a\nb\n'))
  for await (const { text } of mergeLogs([readLog(folder), readLog(folder)])) {
    assert.equal(text, 'a')
    break
  }
})

async function* linesAt(instance: string, ...times: readonly number[]) {
  for (const atMs of times) yield { atMs, instance }
}

interface Follower extends AsyncDisposable {
  /** The next line; undefined at the end. */
  next(): Promise<string | undefined>
  /** Resolves when line number `index` has been returned. */
  seen(index: number): Promise<void>
  abort(): void
}

function follow(selection: LogSelection = {}): Follower {
  const controller = new AbortController()
  const lines = followLog(folder, controller.signal, selection)
  const waiting = new Map<number, () => void>()
  let returned = -1
  return {
    next: async () => {
      const { value } = await lines.next()
      returned++
      waiting.get(returned)?.()
      return value === undefined ? undefined : show(value)
    },
    seen: async (index) => {
      if (returned >= index) return
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.set(index, resolve)
      await promise
    },
    abort: () => controller.abort(),
    [Symbol.asyncDispose]: async () => {
      controller.abort()
      await lines.return()
    },
  }
}

async function textsOf(selection?: LogSelection): Promise<readonly string[]> {
  return (await Array.fromAsync(readLog(folder, selection))).map(show)
}

function show({ atMs, text }: LogLine): string {
  return `${atMs} ${text}`
}

async function write(name: string, ...records: readonly Buffer[]): Promise<void> {
  await writeFile(path.join(folder, name), Buffer.concat(records))
}

async function append(bytes: Buffer): Promise<void> {
  await appendFile(path.join(folder, 'log'), bytes)
}

/** As ainit writes it. */
function record(atMs: number, stream: number, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  const header = Buffer.alloc(13)
  header.writeBigUInt64LE(BigInt(atMs) * 1_000_000n)
  header.writeUInt8(stream, 8)
  header.writeUInt32LE(bytes.length, 9)
  return Buffer.concat([header, bytes])
}
