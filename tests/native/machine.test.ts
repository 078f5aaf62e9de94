/** Real virtual machines: what holds for a sandbox's PID 1 holds for theirs. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'

import { FRAME } from '../../src/core/frames.ts'

import { Workshop, type Instance } from './harness.ts'
import { MachineWorkshop, withoutMachines } from './machine.ts'
import { EgressListener, Streams } from './stream-client.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())
const machines = new MachineWorkshop(workshop)

const SH = (script: string): readonly string[] => ['/bin/sh', '-c', script]
const WAIT = SH('trap "exit 0" TERM; while :; do sleep 1 & wait; done')
const SERVE = ['/bin/probe', 'serve', '127.0.0.1', '8080']
const RELAY = ['relay', '127.0.0.2:443:api.example.com'] as const

async function started(instance: Instance, event = 'exec'): Promise<void> {
  const watch = await instance.watch()
  await watch.event(event)
  watch.close()
}

suite('ainit: a virtual machine', { skip: withoutMachines }, () => {
  test('runs a task as a user without rights, and ends as it does', async () => {
    await using instance = await machines.start({
      args: SH('id -u; cat /etc/hostname; grep CapBnd /proc/self/status; echo oops >&2; exit 7'),
    })
    const watch = await instance.watch()
    for (const event of ['boot', 'init', 'exec'])
      assert.match(await watch.event(event), /^\w+ t=\d+/)
    assert.match(await watch.event('exit'), /^exit t=\d+ status=7 signal=0 core=0$/)
    watch.close()
    assert.equal(await instance.ended, 7)
    assert.match(String(instance.readOut('exit')), /^exit t=\d+ status=7 .*wall=\d+\.\d{3}\n$/)
    assert.equal(instance.readOutput(), '1000\ninside\nCapBnd:\t0000000000000000\noops\n')
  })

  test('has the time of the host, in its events and inside', async () => {
    const before = process.hrtime.bigint()
    const epoch = Math.floor(Date.now() / 1000)
    await using instance = await machines.start({ args: SH('date +%s') })
    const watch = await instance.watch()
    const at = BigInt(/t=(\d+)/.exec(await watch.event('exec'))?.[1] ?? '0')
    watch.close()
    await instance.ended
    assert.ok(at > before && at < process.hrtime.bigint(), 'an event has another clock')
    const inside = Number(instance.readOutput())
    assert.ok(inside >= epoch && inside <= Date.now() / 1000, `${inside} is not now`)
  })

  test('lays what it needs over a tree that lacks it, and lets nobody write to it', async () => {
    const script = [
      'cat /etc/hosts; head -1 /etc/passwd; test -s /etc/machine-id && echo id',
      'for at in / /bin /etc /proc/sys /sys; do touch $at/x 2>/dev/null && echo $at is writable; done',
      'for at in /tmp /var/tmp /run /dev/shm; do touch $at/x || echo $at is not; done',
      'dd if=/dev/zero of=/tmp/big bs=1M count=2 2>/dev/null || echo full',
    ]
    await using instance = await machines.start({ args: SH(script.join('\n')) })
    await instance.ended
    const expected = '127.0.0.1 localhost inside\nroot:x:0:0::/:/bin/sh\nid\nfull\n'
    assert.equal(instance.readOutput(), expected)
  })

  test('copies a tree that its task may change', async () => {
    await using instance = await machines.start({
      args: SH('echo changed >> group; cat group; ls -ld . | cut -c1-10'),
      records: [
        ['group', 'app:x:1000:\n'],
        ['mount', 'tmpfs:1000000:/app'],
        ['copy', '/etc:/app'],
        ['workdir', '/app'],
      ],
    })
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), 'app:x:1000:\nchanged\ndrwxrwxrwt\n')
  })

  test('lets its task read what its kernel says', async () => {
    await using instance = await machines.start({ args: SH('dmesg | head -1') })
    await instance.ended
    assert.match(instance.readOutput(), /Linux version/)
  })

  test('says what could not be started', async () => {
    await using instance = await machines.start({ args: ['/bin/nothing'] })
    assert.equal(await instance.ended, 127)
    assert.match(
      String(instance.readOut('exit')),
      /^error t=\d+ step=exec errno=2 .*\/bin\/nothing\n$/,
    )
  })

  test('says which disk could not be mounted', async () => {
    await using instance = await machines.start({
      args: WAIT,
      records: [['mount', 'erofs:/dev/vdz:/app']],
    })
    assert.equal(await instance.ended, 127)
    assert.match(String(instance.readOut('exit')), /step=mount errno=2 .*\/dev\/vdz\n$/)
  })

  test('serves sessions: stdin, statuses, terminals; and signals', async () => {
    await using instance = await machines.start({ args: WAIT })
    await started(instance)
    const session = await instance.exec(SH('cat; exit 4'))
    session.send(FRAME.STDIN, 'typed\n')
    session.send(FRAME.STDIN_EOF)
    const { stdout, status } = await session.finish()
    assert.deepEqual([stdout, status], ['typed\n', 4])
    const terminal = await instance.exec(SH('tty; stty size'), [
      ['program', '/bin/sh'],
      ['terminal', '30:99'],
    ])
    assert.equal((await terminal.finish()).stdout, '/dev/pts/0\r\n30 99\r\n')
    const attached = await instance.attach('primary')
    attached.send(FRAME.SIGNAL, Buffer.of(15, 0, 0, 0))
    assert.equal((await attached.finish()).status, 0)
    for (const connection of [session, terminal, attached]) connection.close()
    assert.equal(await instance.ended, 0)
  })

  test('loses nothing that is written just before its end, however much', async () => {
    await using instance = await machines.start({
      args: SH('read go; head -c 3000000 /dev/zero; exit 3'),
      records: [['stdin', '1']],
    })
    const attached = await instance.attach('primary')
    attached.send(FRAME.STDIN, 'go\n')
    const { stdout, status } = await attached.finish()
    attached.close()
    assert.deepEqual([stdout.length, status, await instance.ended], [3_000_000, 3, 3])
    assert.equal(instance.readOutput().length, 3_000_000)
  })

  test('lends a program that it fetches when it is first asked for', async () => {
    await using instance = await machines.start({ args: WAIT, records: [['lend', '/bin/busybox']] })
    await started(instance)
    const lent = (): Promise<{ readonly stdout: string }> =>
      instance
        .exec(['echo', 'lent'], [['lend', '1']])
        .then(async (session) => await session.finish())
    assert.deepEqual(
      (await Promise.all([lent(), lent()])).map(({ stdout }) => stdout),
      ['lent\n', 'lent\n'],
    )
    assert.equal((await lent()).stdout, 'lent\n')
  })

  test('hands out streams to what listens, and refuses others', async () => {
    await using instance = await machines.start({ args: SERVE, records: [['port', '8080']] })
    await started(instance, 'listen')
    using streams = new Streams(instance)
    const count = 100
    for (let id = 0; id < count; id++) streams.send(id, id % 2 === 0 ? 8080 : 8081)
    const answers: Promise<string>[] = []
    for (let index = 0; index < count; index++) {
      const answer = await streams.receive()
      assert.ok(answer !== 'end')
      assert.equal(answer.status, answer.id % 2 === 0 ? 0 : 111)
      if (answer.fd !== undefined) answers.push(request(streams.adopt(answer.fd)))
    }
    for (const body of await Promise.all(answers)) assert.match(body, /200 OK.*hello$/s)
  })

  test('hands connections that go out to egress, also those made before egress was there', async () => {
    using egress = new EgressListener(workshop, 'machine-egress')
    await using instance = await machines.start({
      args: ['/bin/probe', 'connect', '127.0.0.2', '443'],
      records: [RELAY, ...egress.records],
    })
    assert.equal(await egress.answer('from outside\n'), 'secret-token api.example.com 443')
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), 'from outside\n')
  })

  test('moves a megabyte through a stream each way, unchanged', async () => {
    await using instance = await machines.start({
      args: ['/bin/probe', 'echo', '127.0.0.1', '8080'],
      records: [['port', '8080']],
    })
    await started(instance, 'listen')
    using streams = new Streams(instance)
    const socket = await streams.open(8080)
    const sent = 'quiver '.repeat(150_000)
    const back = text(socket)
    socket.end(sent)
    assert.ok((await back) === sent, 'what came back is something else')
  })

  test('writes core dumps out, as far as they are wanted', async () => {
    const crash = SH('kill -SEGV $$')
    await using instance = await machines.start({
      args: crash,
      records: [['core_bytes', '50000000']],
    })
    assert.equal(await instance.ended, 139)
    assert.match(String(instance.readOut('exit')), /status=139 signal=11 core=1/)
    const core = instance.readOut('core.1')
    const end = core.indexOf('\n')
    assert.match(core.subarray(0, end).toString(), /^pid=\d+ signal=11 comm=sh$/)
    assert.equal(core.subarray(end + 1, end + 5).toString('latin1'), '\x7fELF')
    await using without = await machines.start({ args: crash })
    assert.equal(await without.ended, 139)
    assert.match(String(without.readOut('exit')), /signal=11 core=0/)
    assert.ok(!existsSync(`${without.folder}/out/core.1`))
  })

  test('bounds the processes of its task', async () => {
    await using instance = await machines.start({
      args: SH('for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & done; echo not reached'),
      records: [['pids', '5']],
    })
    await instance.ended
    assert.doesNotMatch(instance.readOutput(), /not reached/)
    assert.match(instance.readOutput(), /can't fork/)
  })

  test('whose kernel panics is an error with what it said last', async () => {
    await using instance = await machines.start({
      args: WAIT,
      append: 'rdinit=/none root=/dev/none',
    })
    assert.equal(await instance.ended, 127)
    const exit = String(instance.readOut('exit'))
    assert.match(
      exit,
      /^error t=\d+ step=machine errno=0 wall=[0-9.]+ text=the virtual machine ended .*exited with status 0.*panic/,
    )
  })
})

/** The answer to one request. */
async function request(socket: Socket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\n\r\n')
  let seen = ''
  for await (const chunk of socket) {
    seen += String(chunk)
    if (seen.endsWith('hello')) break
  }
  return seen
}
