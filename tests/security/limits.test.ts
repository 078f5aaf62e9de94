/** Every limit holds, its breach is named, and the neighbours notice nothing. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'

import { TestNode } from '../e2e/harness.ts'

import { deployAttacker, inside } from './attacker.ts'

const MIB = 1024 * 1024

suite('limits', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await deployAttacker(node, 'neighbour')
    await node.get('neighbour')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function assertNeighbourWell(): Promise<void> {
    assert.equal(await inside(node, 'neighbour', async () => 'well', null), 'well')
  }

  test('a fork bomb ends at limits.pids, and is named', async () => {
    await deployAttacker(node, 'bomb', '[limits]\npids = 40')
    const outcome = await inside(
      node,
      'bomb',
      async () => {
        const { spawn } = await import('node:child_process')
        const { once } = await import('node:events')
        const results: string[] = []
        for (let count = 0; count < 80; count++) {
          const child = spawn('/app/probe', ['pause'], { stdio: 'ignore' })
          results.push(await attempt(() => once(child, 'spawn')))
        }
        return results
      },
      null,
    )
    assert.ok(outcome.includes('ok'))
    assert.equal(outcome.at(-1), 'EAGAIN')
    await assertNeighbourWell()
    const event = await node.until('the event', async () => {
      const events = await listEvents()
      return events.find(({ task, reason }) => task === 'bomb' && reason === 'PIDS')
    })
    assert.match(event.message, /limits\.pids/)
    const shown = await node.ok('describe', 'bomb')
    assert.match(shown, /Processes +\d+, \d+ refused by limits\.pids/)
  })

  test('a memory bomb is told as such to the client, in ps, describe and events', async () => {
    await deployAttacker(node, 'glutton', '[limits]\nmemory = "64MiB"')
    await node.get('glutton')
    const source = String(async () => {
      const kept: Uint8Array[] = []
      for (;;) kept.push(new Uint8Array(8 * 1024 * 1024).fill(1))
    })
    const answer = await node.request(
      'glutton.localhost',
      '/',
      { method: 'POST' },
      JSON.stringify({ source }),
    )
    assert.equal(answer.status, 502, answer.body)
    const { reason, message } = JSON.parse(answer.body)
    assert.equal(reason, 'OUT_OF_MEMORY')
    assert.match(message, /limits\.memory/)
    assert.ok(answer.headers['retry-after'])
    const ps = await node.ok('ps')
    assert.match(ps, /OUT_OF_MEMORY|memory/)
    assert.match(await node.ok('describe', 'glutton'), /limits\.memory/)
    const events = await listEvents()
    assert.ok(events.some(({ task, reason: why }) => task === 'glutton' && why === 'OUT_OF_MEMORY'))
    await assertNeighbourWell()
  })

  test('open files end at limits.files', async () => {
    await deployAttacker(node, 'opener', '[limits]\nfiles = 64')
    const outcome = await inside(
      node,
      'opener',
      async () => {
        const { openSync } = await import('node:fs')
        const opened: string[] = []
        for (let count = 0; count < 100; count++)
          opened.push(await attempt(() => openSync('/dev/null', 'r')))
        return opened
      },
      null,
    ).catch((error: unknown) => String(error))
    assert.ok(Array.isArray(outcome) && outcome.includes('EMFILE'), String(outcome))
    await assertNeighbourWell()
  })

  test('disks are memory of a limited size, and full only inside', async () => {
    const limits = '[limits]\ntmp = "2MiB"\nfile_size = "1MiB"'
    await deployAttacker(node, 'writer', limits)
    const outcome = await inside(
      node,
      'writer',
      async (folders) => {
        const { writeFileSync, appendFileSync } = await import('node:fs')
        process.on('SIGXFSZ', () => {})
        const half = new Uint8Array(512 * 1024)
        const results: Record<string, string> = {}
        for (const folder of folders) {
          for (let count = 0; count < 64 && results[folder] === undefined; count++) {
            const result = await attempt(() => writeFileSync(`${folder}/file${count}`, half))
            if (result !== 'ok') results[folder] = `${count} ${result}`
          }
        }
        results['size'] = await attempt(() => {
          for (let count = 0; count < 4; count++) appendFileSync('/run/big', half)
        })
        return results
      },
      ['/tmp', '/dev/shm', '/var/tmp'],
    )
    assert.deepEqual(outcome, {
      '/tmp': '4 ENOSPC',
      '/dev/shm': '4 ENOSPC',
      '/var/tmp': '4 ENOSPC',
      size: 'EFBIG',
    })
    await assertNeighbourWell()
  })

  test('a flood of logs keeps the newest within limits.log', async () => {
    await deployAttacker(node, 'shouter', '[limits]\nlog = "256KiB"')
    await inside(
      node,
      'shouter',
      async () => {
        const { execFileSync } = await import('node:child_process')
        execFileSync('/app/probe', ['flood', String(8 * 1024 * 1024)], { stdio: ['ignore', 1, 2] })
      },
      null,
    )
    const last = String((8 * MIB) / 64 - 1).padStart(63, '0')
    const text = await node.until('the last line', async () => {
      const all = await node.ok('logs', 'shouter')
      return all.includes(last) ? all : undefined
    })
    assert.ok(text.length < 256 * 1024, `${text.length} bytes`)
    await assertNeighbourWell()
  })

  test('wall time ends it, and says so', async () => {
    await deployAttacker(node, 'old', '[limits]\nwall_time = "1s"')
    await node.get('old')
    const exit = await node.until('its end', async () => {
      const { instances } = await node.describe('old')
      return instances.find(({ exit: found }) => found !== null)?.exit ?? undefined
    })
    assert.equal(exit.reason, 'WALL_TIME')
    const events = await listEvents()
    assert.ok(events.some(({ task, reason }) => task === 'old' && reason === 'WALL_TIME'))
  })

  test('a spinning task gets the share of a core that it has', async () => {
    await deployAttacker(node, 'spinner', '[limits]\ncpu = 0.2')
    const { usedMs, ms } = await inside(
      node,
      'spinner',
      async () => {
        const [from, earlier] = [performance.now(), process.cpuUsage()]
        while (performance.now() - from < 2000);
        const { user, system } = process.cpuUsage(earlier)
        return { usedMs: (user + system) / 1000, ms: performance.now() - from }
      },
      null,
    )
    // Processor time, not speed: whatever else the machine does can only make it less.
    assert.ok(usedMs < ms * 0.4, `${usedMs} of ${ms} ms`)
  })

  async function listEvents(): Promise<
    readonly { readonly task: string | null; readonly reason: string | null; message: string }[]
  > {
    const text = await node.ok('events', '--json')
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  }
})
