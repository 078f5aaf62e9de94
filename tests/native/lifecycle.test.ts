/** How an instance starts and ends: events, reports, statuses, locks. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { encodeU32, FRAME } from '../../src/core/frames.ts'

import { giveAway, Instance, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

const shell = (script: string) => ['/bin/sh', '-c', script]

suite('ainit: life of an instance', () => {
  test('it reports start and exit, on the socket, in the file and by its own status', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell('exit 3'),
      records: [['hold', '1']],
    })
    assert.equal(instance.answer, 'bound\n')
    const watch = await instance.watch()
    watch.send(FRAME.START)
    assert.match(await watch.event('init'), /^init t=\d+$/)
    assert.match(await watch.event('exec'), /^exec t=\d+ pid=\d+$/)
    assert.match(await watch.event('exit'), /^exit t=\d+ status=3 signal=0 core=0$/)
    assert.equal(await instance.ended, 3)
    assert.match(
      String(instance.readOut('exit')),
      /^exit t=\d+ status=3 signal=0 core=0 wall=\d+\.\d{3}\n$/,
    )
  })

  const failures = [
    {
      title: 'a missing program',
      args: ['/nonexistent'],
      expected: /step=exec errno=2 .*text=ENOENT/,
    },
    {
      title: 'a file that is no executable',
      args: ['/etc/passwd'],
      expected: /step=exec errno=13 .*text=EACCES/,
    },
    { title: 'a folder', args: ['/tmp'], expected: /step=exec errno=13 .*text=EACCES/ },
    {
      title: 'a missing working directory',
      args: ['/bin/true'],
      records: [['workdir', '/nowhere']] as const,
      expected: /step=workdir errno=2 .*text=ENOENT.*\/nowhere/,
    },
    {
      title: 'a copy of what is not there',
      args: ['/bin/true'],
      records: [['copy', '/nowhere:/tmp']] as const,
      expected: /step=copy errno=2 .*text=ENOENT.*\/nowhere/,
    },
    {
      title: 'an unknown limit',
      args: ['/bin/true'],
      records: [['rlimit', 'stack:1']] as const,
      expected: /step=spec errno=22 .*text=.*stack:1/,
    },
  ]
  for (const { title, args, records, expected } of failures) {
    test(`${title} is an error that names the step`, async () => {
      await using instance = await Instance.start(workshop, { args, records: records ?? [] })
      assert.equal(await instance.ended, 127)
      assert.match(String(instance.readOut('exit')), expected)
      assert.match(
        String(instance.readOut('exit')),
        /^error t=\d+ step=\w+ errno=\d+ wall=[\d.]+ text=/,
      )
    })
  }

  test('a file in a wrong format, and one whose interpreter is missing, are told apart', async () => {
    const folder = path.join(workshop.folder, 'formats')
    mkdirSync(folder, { mode: 0o711 })
    writeFileSync(path.join(folder, 'garbage'), 'MZ not a program', { mode: 0o755 })
    writeFileSync(path.join(folder, 'script'), '#!/no/such/interpreter\n', { mode: 0o755 })
    for (const [file, expected] of [
      ['garbage', /errno=8 .*text=ENOEXEC/],
      ['script', /errno=2 .*the interpreter or loader of/],
    ] as const) {
      await using instance = await Instance.start(workshop, {
        args: [`/tmp/formats/${file}`],
        bwrap: ['--ro-bind', folder, '/tmp/formats'],
      })
      assert.equal(await instance.ended, 127)
      assert.match(String(instance.readOut('exit')), expected)
    }
  })

  test('a signal is told apart from a status, and reaches the whole process group', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell('sleep 1000 & echo up; wait'),
    })
    const attached = await instance.attach('primary')
    await attached.until('up')
    attached.send(FRAME.SIGNAL, encodeU32(15))
    assert.equal((await attached.finish()).status, 128 + 15)
    assert.equal(await instance.ended, 143)
    assert.match(String(instance.readOut('exit')), /status=143 signal=15 core=0/)
  })

  test('a signal that does not exist is refused', async () => {
    await using instance = await Instance.start(workshop)
    const watch = await instance.watch()
    await watch.event('exec')
    watch.send(FRAME.SIGNAL, encodeU32(4000))
    assert.match((await watch.finish()).error ?? '', /^errno=22 text=/)
  })

  test('what the task leaves behind is killed, even with its pipes open', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell(
        'setsid /tmp/probe pause & (trap "" TERM HUP; while :; do sleep 1; done) & echo last; exit 0',
      ),
    })
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), 'last\n')
  })

  test('a task that waits for START runs nothing before', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/bin/true'],
      records: [['hold', '1']],
    })
    const watch = await instance.watch()
    watch.send(FRAME.SIGNAL, encodeU32(15))
    const frames = [await watch.next(), await watch.next()]
    assert.match(String(frames[0]?.payload), /^init/)
    assert.match(String(frames[1]?.payload), /^errno=3 text=/)
    watch.send(FRAME.START)
    await watch.event('exec')
    assert.equal(await instance.ended, 0)
  })

  test('a folder in use is refused, and free again when PID 1 is killed', async () => {
    await using instance = await Instance.start(workshop)
    const { folder } = instance
    await using second = await Instance.start(workshop, { folder })
    assert.match(second.answer, /^error step=lock errno=11 text=/)
    assert.equal(await second.ended, 1)
    const watch = await instance.watch()
    await watch.event('exec')
    instance.killPid1()
    await instance.ended
    assert.equal(spawnSync('flock', ['-n', path.join(folder, 'lock'), 'true']).status, 0)
    assert.equal(String(instance.readOut('exit')), '')
    await using third = await Instance.start(workshop, { folder, args: ['/bin/true'] })
    assert.equal(third.answer, 'bound\n')
    assert.equal(await third.ended, 0)
  })

  test('an unknown key is refused by its name', async () => {
    await using instance = await Instance.start(workshop, { records: [['colour', 'red']] })
    assert.match(instance.answer, /^error step=spec errno=22 text=unknown key colour/)
  })

  test('environment, arguments and working directory arrive as they are', async () => {
    const value = 'a "quoted" = value\nof two lines'
    await using instance = await Instance.start(workshop, {
      args: ['/bin/sh', '-c', 'printf "%s|%s|%s" "$VALUE" "$1" "$PWD"', 'sh', 'an arg\n'],
      records: [
        ['env', `VALUE=${value}`],
        ['workdir', '/usr'],
      ],
    })
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), `${value}|an arg\n|/usr`)
  })

  test('limits of files hold, and one that may not be raised is no error', async () => {
    await using instance = await Instance.start(workshop, {
      args: shell('ulimit -n; ulimit -Hn; ulimit -c'),
      records: [
        ['rlimit', 'nofile:77'],
        ['rlimit', 'core:0'],
        ['rlimit', 'nproc:4000000000'],
      ],
    })
    assert.equal(await instance.ended, 0)
    assert.equal(instance.readOutput(), '77\n77\n0\n')
  })

  test('a tree is copied with modes, links and times, and can be written', async () => {
    const image = path.join(workshop.folder, 'image')
    mkdirSync(path.join(image, 'sub/deep'), { recursive: true })
    writeFileSync(path.join(image, 'sub/run'), '#!/bin/sh\necho ran\n', { mode: 0o555 })
    writeFileSync(path.join(image, 'data'), 'x'.repeat(200_000), { mode: 0o444 })
    execFileSync('ln', ['-s', 'sub/run', path.join(image, 'link')])
    execFileSync('touch', ['-d', '2001-02-03T04:05:06Z', path.join(image, 'data')])
    execFileSync('chmod', ['-R', 'a+rX', image])
    await using instance = await Instance.start(workshop, {
      args: shell(
        'cd /tmp/app; ./link; stat -c "%n %a %s %Y" data sub/run sub/deep; echo more >> data; stat -c %s data',
      ),
      records: [['copy', '/tmp/image:/tmp/app']],
      bwrap: ['--ro-bind', image, '/tmp/image', '--tmpfs', '/tmp/app'],
    })
    assert.equal(await instance.ended, 0, String(instance.readOut('exit')))
    assert.match(
      instance.readOutput(),
      /^ran\ndata 644 200000 981173106\nsub\/run 755 \d+ \d+\nsub\/deep 755 \d+ \d+\n200005\n$/,
    )
  })

  test('a process that dumps core says so', async (context) => {
    const folder = path.join(workshop.folder, 'core')
    mkdirSync(folder, { mode: 0o777 })
    giveAway(folder)
    await using instance = await Instance.start(workshop, {
      args: ['/tmp/probe', 'core'],
      bwrap: ['--bind', folder, '/tmp/core'],
      records: [['workdir', '/tmp/core']],
    })
    await instance.ended
    const [status] = spawnSync('sh', ['-c', 'ulimit -Hc']).stdout.toString().trim().split('\n')
    if (status === '0') context.skip('core dumps are off on this machine')
    else assert.match(String(instance.readOut('exit')), /signal=6 core=1/)
  })
})
