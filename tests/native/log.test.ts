/** The log of an instance: its format, its bounds, and what happens when it cannot be written. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { FRAME } from '../../src/core/frames.ts'

import { giveAway, Instance, isRoot, parseLog, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

suite('ainit: log', () => {
  test('records have time and stream, in order', async () => {
    const before = BigInt(Date.now()) * 1_000_000n
    await using instance = await Instance.start(workshop, {
      args: ['/bin/sh', '-c', 'printf one; sleep 0.05; printf two >&2; sleep 0.05; printf three'],
    })
    assert.equal(await instance.ended, 0)
    const records = parseLog(instance.readOut('log'))
    assert.deepEqual(
      records.map(({ stream, bytes }) => [stream, String(bytes)]),
      [
        [1, 'one'],
        [2, 'two'],
        [1, 'three'],
      ],
    )
    const times = records.map(({ atNs }) => atNs)
    assert.deepEqual(
      times,
      times.toSorted((a, b) => (a < b ? -1 : 1)),
    )
    assert.ok((times[0] ?? 0n) >= before && (times[2] ?? 0n) <= BigInt(Date.now() + 1) * 1_000_000n)
  })

  for (const logBytes of [4096, 65_536, 1 << 20]) {
    test(`a flood stays within ${logBytes} bytes and leaves the newest whole records`, async () => {
      await using instance = await Instance.start(workshop, {
        args: ['/tmp/probe', 'flood', String(8 << 20)],
        records: [['log_bytes', String(logBytes)]],
      })
      assert.equal(await instance.ended, 0)
      const [log, older] = [instance.readOut('log'), instance.readOut('log.1')]
      assert.ok(
        log.length <= logBytes / 2 && older.length <= logBytes / 2,
        `${log.length}, ${older.length}`,
      )
      assert.ok(log.length + older.length > logBytes / 4)
      const text = instance.readOutput()
      assert.ok(text.endsWith(`${String((8 << 20) / 64 - 1).padStart(63, '0')}\n`))
    })
  }

  test(
    'a disk that is full loses output, not the task, and the log says so',
    { skip: !isRoot },
    async () => {
      const folder = workshop.makeFolder()
      const small = path.join(folder, 'out')
      mkdirSync(small)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'ainit-test', small])
      try {
        giveAway(small)
        await using instance = await Instance.start(workshop, {
          folder,
          args: ['/bin/sh', '-c', '/tmp/probe flood 1048576; read line; echo after'],
          records: [
            ['log_bytes', String(16 << 20)],
            ['stdin', '1'],
          ],
        })
        const attached = await instance.attach('primary')
        await attached.until(`${String((1 << 20) / 64 - 1).padStart(63, '0')}\n`)
        assert.ok(statSync(path.join(small, 'log')).size <= 256 * 1024)
        execFileSync('mount', ['-o', 'remount,size=8m', small])
        attached.send(FRAME.STDIN, '\n')
        assert.equal((await attached.finish()).status, 0)
        assert.equal(await instance.ended, 0)
        const records = parseLog(instance.readOut('log'))
        const remarks = records
          .filter(({ stream }) => stream === 3)
          .map(({ bytes }) => String(bytes))
        // A short record may still have found room after a long one was lost: then there are several losses.
        assert.ok(remarks.length >= 1)
        const lost = remarks
          .map(
            (remark) =>
              /^(\d+) bytes of output could not be written: No space left on device\n$/.exec(
                remark,
              )?.[1],
          )
          .reduce((sum, bytes) => sum + Number(bytes), 0)
        assert.equal(instance.readOutput().length + lost, (1 << 20) + 'after\n'.length)
        assert.match(String(instance.readOut('exit')), /status=0/)
      } finally {
        execFileSync('umount', [small])
      }
    },
  )
})
