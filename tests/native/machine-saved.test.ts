/** Machines that are saved and loaded: what a clone is told, and what it must not keep. */

import assert from 'node:assert/strict'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'

import { encodeFrame, FRAME } from '../../src/core/frames.ts'
import { QmpClient } from '../../src/drivers/microvm/qemu/qmp.ts'

import { Workshop, type Instance } from './harness.ts'
import { MachineWorkshop, withoutMachines } from './machine.ts'
import { Streams } from './stream-client.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())
const machines = new MachineWorkshop(workshop)

const FREEZE = 10
const TIMEOUT_MS = 30_000
const SERVER = {
  args: ['/bin/probe', 'echo', '127.0.0.1', '8080'],
  records: [['port', '8080']],
} as const

/** Asks the host's side to have the machine stand still. It does as long as the connection lasts. */
async function freeze(instance: Instance): Promise<Disposable> {
  const connection = await instance.connect(encodeFrame(FREEZE))
  assert.match(await connection.event('frozen'), /^frozen t=\d+$/)
  return { [Symbol.dispose]: () => connection.close() }
}

async function qmp(instance: Instance): Promise<QmpClient> {
  return await QmpClient.connect(`${instance.socketPrefix}.q`, TIMEOUT_MS)
}

/** To a pipe: the hypervisor of these tests may start programs. */
async function save(instance: Instance, file: string): Promise<void> {
  await using monitor = await qmp(instance)
  await monitor.execute('stop')
  await monitor.execute('migrate', { uri: `exec:cat > ${file}` })
  await completed(monitor)
}

async function load(instance: Instance, file: string): Promise<void> {
  await using monitor = await qmp(instance)
  await monitor.execute('migrate-incoming', { uri: `exec:cat ${file}` })
  await completed(monitor)
  await monitor.execute('cont')
}

async function completed(monitor: QmpClient): Promise<void> {
  for (let status = ''; status !== 'completed';) {
    const answer: unknown = await monitor.execute('query-migrate')
    status =
      typeof answer === 'object' && answer !== null ? String(Reflect.get(answer, 'status')) : ''
    assert.notEqual(status, 'failed')
  }
}

async function listening(instance: Instance, event = 'listen'): Promise<void> {
  const watch = await instance.watch()
  await watch.event(event)
  watch.close()
}

async function echo(instance: Instance, sent: string): Promise<string> {
  using streams = new Streams(instance)
  const socket = await streams.open(8080)
  const back = text(socket)
  socket.end(sent)
  return await back
}

/** Seconds since the epoch. */
async function clockOf(instance: Instance): Promise<number> {
  const session = await instance.exec(['date', '+%s'])
  const { stdout } = await session.finish()
  session.close()
  return Number(stdout)
}

/** What makes a machine itself. */
async function identify(instance: Instance): Promise<readonly string[]> {
  const script =
    'hostname; cat /etc/hostname /etc/machine-id /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | base64'
  const session = await instance.exec(['/bin/sh', '-c', script])
  const { stdout } = await session.finish()
  session.close()
  return stdout.trim().split('\n')
}

suite('ainit: a saved virtual machine', { skip: withoutMachines }, () => {
  test('goes on when whoever had it stand still has gone', async () => {
    await using instance = await machines.start(SERVER)
    await listening(instance)
    const frozen = await freeze(instance)
    const waiting = echo(instance, 'asked while it stood still')
    frozen[Symbol.dispose]()
    assert.equal(await waiting, 'asked while it stood still')
  })

  test('is frozen by one at a time', async () => {
    await using instance = await machines.start(SERVER)
    await listening(instance)
    const frozen = await freeze(instance)
    const other = await instance.connect(encodeFrame(FREEZE))
    assert.match((await other.finish()).error ?? '', /^errno=16 /)
    frozen[Symbol.dispose]()
  })

  test('before it had a task runs any task, more than once', async () => {
    const file = path.join(machines.scratch, 'boot')
    {
      await using template = await machines.start({
        args: ['/none'],
        records: [['template', 'boot']],
      })
      await freeze(template)
      await save(template, file)
    }
    const run = async (said: string): Promise<void> => {
      await using clone = await machines.start({
        args: ['/bin/sh', '-c', `cat /etc/hostname; echo ${said}`],
        start: 'load',
        records: [
          ['wait_resume', '1'],
          ['hostname', said],
        ],
      })
      await load(clone, file)
      assert.equal(await clone.ended, 0)
      assert.equal(clone.readOutput(), `inside\n${said}\n`)
    }
    await Promise.all([run('one'), run('two')])
  })

  test('with a task under way serves on, as somebody else', async () => {
    const file = path.join(machines.scratch, 'ready')
    let before: readonly string[] = []
    {
      await using template = await machines.start(SERVER)
      await listening(template)
      before = await identify(template)
      assert.equal(await echo(template, 'a'), 'a')
      using streams = new Streams(template)
      const left = await streams.open(8080)
      left.on('error', () => {})
      await freeze(template)
      await save(template, file)
      left.destroy()
    }
    const clone = async (): Promise<readonly string[]> => {
      await using instance = await machines.start({
        ...SERVER,
        start: 'load',
        records: [...SERVER.records, ['wait_resume', '1']],
      })
      await load(instance, file)
      await listening(instance, 'resume')
      assert.equal(await echo(instance, 'b'), 'b')
      const identity = await identify(instance)
      const attached = await instance.attach('primary')
      attached.send(FRAME.SIGNAL, Buffer.of(15, 0, 0, 0))
      assert.equal((await attached.finish()).status, 143)
      attached.close()
      assert.equal(await instance.ended, 143)
      return identity
    }
    const [one, two] = await Promise.all([clone(), clone()])
    for (const index of [2, 3, 4])
      assert.equal(
        new Set([before[index], one[index], two[index]]).size,
        3,
        String([before, one, two]),
      )
  })

  test('has the time of now, not of when it was saved, nor of a template whose clock was slow', async () => {
    const file = path.join(machines.scratch, 'clock')
    {
      const records = [...SERVER.records, ['clock_behind_s', '3660']] as const
      await using template = await machines.start({ ...SERVER, records })
      await listening(template)
      const behind = Date.now() / 1000 - (await clockOf(template))
      assert.ok(Math.abs(behind - 3660) < 5, `${behind} s slow`)
      await freeze(template)
      await save(template, file)
    }
    const from = process.hrtime.bigint()
    await using clone = await machines.start({
      ...SERVER,
      start: 'load',
      records: [...SERVER.records, ['wait_resume', '1']],
    })
    await load(clone, file)
    const watch = await clone.watch()
    const at = BigInt(/t=(\d+)/.exec(await watch.event('resume'))?.[1] ?? '0')
    assert.ok(at > from && at < process.hrtime.bigint(), `${at} is not now`)
    const inside = await clockOf(clone)
    assert.ok(Math.abs(inside - Date.now() / 1000) < 5, `${inside} is not now`)
  })
})
