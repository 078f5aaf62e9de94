/** Interfaces of instances on a bridge: who reaches whom, who may be whom, and that nothing is left of it. */

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { ask, query } from './dns.ts'
import { findPid1, Instance, isRoot, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

/** Where PID 1 keeps the switch, as in native/ainit/protocol.h. */
const FD_SWITCH = 19

/** A bridge in a network namespace of its own, for as long as this is open or an instance is connected. */
class Switch implements Disposable {
  readonly descriptor: number

  private constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  static async make(): Promise<Switch> {
    const child = spawn(workshop.ainit, ['bridge', 'make', 'bridge'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [said] = await once(child.stdout, 'data')
    assert.equal(String(said), 'made\n')
    const made = new Switch(openSync(`/proc/${child.pid}/ns/net`, 'r'))
    const exited = once(child, 'exit')
    child.stdin.end()
    assert.deepEqual(await exited, [0, null])
    return made
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.descriptor}`
  }

  bridge(...args: readonly string[]): void {
    execFileSync(workshop.ainit, ['bridge', ...args], { stdio: 'pipe' })
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor)
  }
}

interface Place {
  readonly at: number
  readonly args?: readonly string[]
  readonly records?: readonly (readonly [string, string])[]
}

const ON_BRIDGE = [['bridge', 'bridge']] as const

function macOf(at: number): string {
  return `02:71:0a:53:00:${String(at).padStart(2, '0')}`
}

async function join(into: Switch, place: Place): Promise<Instance> {
  const { at, args = ['/tmp/probe', 'pause'], records = ON_BRIDGE } = place
  const serves = args.includes('serve')
  const instance = await Instance.start(workshop, {
    args,
    records: [
      ['switch', into.path],
      ['bridge_port', `port${at}`],
      ['mac', macOf(at)],
      ['address', `10.83.0.${at}/24`],
      ...(serves ? [['port', '80'] as const] : []),
      ...records,
    ],
  })
  assert.equal(instance.answer, 'bound\n')
  const watch = await instance.watch()
  await watch.event(serves ? 'listen' : 'exec')
  watch.close()
  return instance
}

/** Nobody says that he has the address; which of them it is, the kernel's timers decide. */
const UNANSWERED = /No route|progress|timed out/
const SERVER = ['/tmp/probe', 'serve', '0.0.0.0', '80']

/** What a command of the probe says inside. */
async function probe(instance: Instance, ...args: readonly string[]): Promise<string> {
  const session = await instance.exec(['/tmp/probe', ...args])
  const { stdout, stderr } = await session.finish()
  return (stdout + stderr).trim()
}

suite('ainit: instances on a bridge', { skip: !isRoot && 'only root makes bridges' }, () => {
  test('reach one another by their addresses, and nobody else', async () => {
    using hub = await Switch.make()
    await using first = await join(hub, { at: 2 })
    await using second = await join(hub, { at: 3, args: SERVER })
    await using alone = await Instance.start(workshop)
    assert.equal(await probe(first, 'dial', '10.83.0.3', '80'), 'ok')
    assert.equal(await probe(second, 'dial', '10.83.0.3', '80'), 'ok')
    assert.match(await probe(first, 'dial', '10.83.0.3', '81'), /refused/)
    assert.match(await probe(first, 'dial', '10.83.0.4', '80'), UNANSWERED)
    assert.match(await probe(first, 'dial', '192.0.2.1', '80'), /unreachable/)
    assert.match(await probe(alone, 'dial', '10.83.0.3', '80'), /unreachable/)
  })

  test('may be nobody else: their addresses are not theirs to change', async () => {
    using hub = await Switch.make()
    await using instance = await join(hub, { at: 2 })
    assert.equal(await probe(instance, 'become', '10.83.0.50'), '')
    assert.equal(await probe(instance, 'become', '10.83.0.2'), 'sent', 'their own is')
  })

  test('say nothing with another hardware address, even where somebody could give them one', async () => {
    using hub = await Switch.make()
    await using first = await join(hub, { at: 2 })
    await using second = await join(hub, { at: 3, args: SERVER })
    const inside = [`--net=/proc/${findPid1(first.pid)}/ns/net`]
    const ip = (...args: readonly string[]) => execFileSync('nsenter', [...inside, 'ip', ...args])
    ip('link', 'set', 'eth0', 'address', '02:71:0a:53:00:44')
    assert.match(await probe(first, 'dial', '10.83.0.3', '80'), UNANSWERED)
    ip('link', 'set', 'eth0', 'address', macOf(2))
    assert.equal(await probe(first, 'dial', '10.83.0.3', '80'), 'ok')
    assert.ok(second.pid > 0)
  })

  test('do not lend what they may reach: relays are for the instance itself', async () => {
    using hub = await Switch.make()
    const records = [...ON_BRIDGE, ['relay', '10.1.2.3:80:10.1.2.3']] as const
    await using first = await join(hub, { at: 2 })
    await using second = await join(hub, { at: 3, records })
    assert.match(await probe(first, 'dial', '10.1.2.3', '80'), /unreachable/)
    assert.match(await probe(first, 'dial', '10.1.2.3', '80', 'eth0'), UNANSWERED)
    assert.equal(await probe(second, 'dial', '10.1.2.3', '80'), 'ok')
  })

  test('pass nothing on, and have nobody reach their loopback, whatever the machine does', async () => {
    using hub = await Switch.make()
    await using instance = await join(hub, { at: 2 })
    const inside = `--net=/proc/${findPid1(instance.pid)}/ns/net`
    const keys = ['all', 'eth0'].flatMap((where) =>
      ['forwarding', 'route_localnet', 'accept_redirects'].map(
        (key) => `/proc/sys/net/ipv4/conf/${where}/${key}`,
      ),
    )
    const values = execFileSync('nsenter', [inside, 'cat', ...keys]).toString()
    assert.equal(values, '0\n'.repeat(keys.length))
  })

  test('have a gateway where one is given', async () => {
    using hub = await Switch.make()
    const records = [...ON_BRIDGE, ['gateway', '10.83.0.3']] as const
    await using first = await join(hub, { at: 2, records })
    await using second = await join(hub, { at: 3 })
    // It is asked, and knows no way.
    assert.match(await probe(first, 'dial', '192.0.2.1', '80'), UNANSWERED)
    assert.ok(second.pid > 0)
  })

  test('wait for an address that somebody else has, until they are plugged in', async () => {
    using hub = await Switch.make()
    await using first = await join(hub, { at: 2 })
    await using before = await join(hub, { at: 3, args: SERVER })
    await using next = await Instance.start(workshop, {
      args: SERVER,
      records: [
        ['switch', hub.path],
        ['bridge_port', 'successor'],
        ['mac', macOf(3)],
        ['address', '10.83.0.3/24'],
        ['port', '80'],
      ],
    })
    const watch = await next.watch()
    await watch.event('listen')
    assert.equal(await probe(first, 'dial', '10.83.0.3', '80'), 'ok')
    process.kill(findPid1(before.pid) ?? 0, 'SIGKILL')
    await before.ended
    hub.bridge('unplug', hub.path, 'port3')
    assert.match(await probe(first, 'dial', '10.83.0.3', '80'), UNANSWERED)
    hub.bridge('plug', hub.path, 'bridge', 'successor', macOf(3))
    assert.equal(await probe(first, 'dial', '10.83.0.3', '80'), 'ok')
    // Gone already, and gone again.
    hub.bridge('unplug', hub.path, 'port3')
  })

  test('keep their switch, which is found by any of them and goes with the last', async () => {
    const hub = await Switch.make()
    const { ino } = fstatSync(hub.descriptor)
    await using first = await join(hub, { at: 2 })
    hub[Symbol.dispose]()
    const found = openSync(`/proc/${findPid1(first.pid)}/fd/${FD_SWITCH}`, 'r')
    assert.equal(fstatSync(found).ino, ino)
    const inside = await first.exec(['/bin/ls', '-l', '/proc/self/fd'])
    assert.doesNotMatch((await inside.finish()).stdout, /net:|names/, 'the program has neither')
    closeSync(found)
  })

  test('find one another by the names of a list that is replaced under them', async () => {
    using hub = await Switch.make()
    const folder = path.join(workshop.folder, 'names')
    mkdirSync(folder, { mode: 0o711 })
    const write = (content: string): void => {
      writeFileSync(path.join(folder, 'new'), content)
      renameSync(path.join(folder, 'new'), path.join(folder, 'names'))
    }
    const records = [...ON_BRIDGE, ['names', folder], ['dns', '127.0.0.53']] as const
    await using instance = await join(hub, { at: 2, records })
    const lookUp = async (name: string) => (await ask(instance, [query(name)]))[0]
    assert.equal((await lookUp('shop'))?.code, 3)
    write('10.83.0.3 shop\n10.83.0.4 prices\n10.83.0.5 prices\nnonsense\n\n10.83.0.6 long')
    assert.equal((await lookUp('shop'))?.address, '10.83.0.3')
    assert.equal((await lookUp('SHOP'))?.address, '10.83.0.3')
    const prices = [await lookUp('prices'), await lookUp('prices')]
    assert.deepEqual(
      prices.map((one) => one?.records),
      [2, 2],
    )
    const last = prices.map((one) => one?.address ?? '')
    assert.deepEqual(last.toSorted(), ['10.83.0.4', '10.83.0.5'], 'each has its turn')
    assert.equal((await lookUp('long'))?.address, '10.83.0.6')
    assert.equal((await lookUp('nonsense'))?.code, 3)
    const many = Array.from({ length: 300 }, (_, at) => `10.83.1.${at % 250} crowd\n`)
    write(many.join(''))
    assert.equal((await lookUp('crowd'))?.records, 12)
    assert.equal((await lookUp('shop'))?.code, 3)
    rmSync(path.join(folder, 'names'))
    assert.equal((await lookUp('crowd'))?.code, 3)
    assert.equal((await lookUp('localhost'))?.address, '127.0.0.1')
  })

  test('have other name servers asked for what is not on the bridge', async () => {
    using hub = await Switch.make()
    const records = [...ON_BRIDGE, ['dns', '127.0.0.53'], ['dns_others', '1']] as const
    await using instance = await join(hub, { at: 2, records })
    const [unknown, own] = await ask(instance, [
      query('example.com'),
      query('localhost', { id: 2 }),
    ])
    assert.deepEqual([unknown?.code, own?.code], [5, 0])
  })

  test('are refused with what is wrong', async () => {
    using hub = await Switch.make()
    const cases: readonly [name: string, records: readonly [string, string][], said: RegExp][] = [
      ['no bridge', [['bridge', 'nobody']], /step=bridge .*nobody: No such device/],
      ['a broken mac', [['mac', 'zz']], /step=bridge .*the interface: Invalid argument/],
      ['a broken address', [['address', '10.83.0.2']], /step=bridge .*Invalid argument/],
      ['no namespace', [['switch', '/proc/1/nothing']], /step=switch/],
      ['a long name', [['bridge_port', 'a-name-of-16-char']], /step=bridge .*Invalid argument/],
    ]
    for (const [name, [[key, value] = ['', '']], said] of cases) {
      const usual: readonly (readonly [string, string])[] = [
        ['switch', hub.path],
        ['bridge_port', 'port9'],
        ['mac', macOf(9)],
        ['address', '10.83.0.9/24'],
        ['bridge', 'bridge'],
      ]
      const records = [...usual.filter(([other]) => other !== key), [key, value] as const]
      await using instance = await Instance.start(workshop, { records })
      assert.match(instance.answer, said, name)
    }
  })
})
