/** Names below a wildcard: the name server of PID 1, and the connections to what it answers. */

import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { after, suite, test } from 'node:test'

import { addressOf, ask, COVERED_ADDRESS, NAME_RECORDS, query, TYPE } from './dns.ts'
import { Instance, Workshop } from './harness.ts'
import { EgressListener } from './stream-client.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

/** As in native/ainit/names.h. */
const NAMES_MAX = 512

async function start(records: readonly (readonly [string, string])[] = []): Promise<Instance> {
  const instance = await Instance.start(workshop, { records: [...NAME_RECORDS, ...records] })
  const watch = await instance.watch()
  await watch.event('exec')
  watch.close()
  return instance
}

/** What connecting says: nothing, or the system's message. */
async function connectTo(instance: Instance, address: string, port: number): Promise<string> {
  const session = await instance.exec(['/tmp/probe', 'connect', address, String(port)])
  const { stdout, stderr } = await session.finish()
  return stdout + stderr
}

suite('ainit: names below a wildcard', () => {
  test('have an address each, the same when asked again; what no wildcard covers does not exist', async () => {
    await using instance = await start()
    const cases: readonly [name: string, code: number][] = [
      ['a.example.com', 0],
      ['A.Example.COM', 0],
      ['b.a.example.com', 0],
      ['_x-1.example.com', 0],
      ['x.deep.example.com', 0],
      ['example.com', 3],
      ['aexample.com', 3],
      ['a.example.com.evil.org', 3],
      ['example.org', 3],
      ['com', 3],
      ['', 3],
      ['1.0.64.127.in-addr.arpa', 3],
    ]
    const answers = await ask(
      instance,
      cases.map(([name], id) => query(name, { id })),
    )
    for (const [id, [name, code]] of cases.entries()) {
      const answer = answers[id]
      assert.deepEqual([answer?.id, answer?.code, answer?.question], [id, code, name])
      if (code === 0) assert.match(answer?.address ?? '', COVERED_ADDRESS, name)
      else assert.equal(answer?.address, undefined, name)
    }
    assert.equal(answers[0]?.address, answers[1]?.address)
    assert.equal(new Set(answers.map((answer) => answer?.address)).size, 5)
  })

  test('names of /etc/hosts are known here, too', async () => {
    await using instance = await start([['relay', '127.0.0.3:80:db.localhost']])
    assert.equal(await addressOf(instance, 'localhost'), '127.0.0.1')
    assert.equal(await addressOf(instance, 'db.localhost'), '127.0.0.3')
    assert.equal(await addressOf(instance, 'hello.localhost'), '127.0.0.1')
    assert.equal(await addressOf(instance, 'api.example.org'), '127.0.0.2')
  })

  test('have no other records, and that is no error', async () => {
    await using instance = await start()
    const types = [TYPE.AAAA, TYPE.HTTPS, TYPE.NS, TYPE.PTR]
    for (const answer of await ask(
      instance,
      types.map((type) => query('a.example.com', { type })),
    )) {
      assert.deepEqual([answer?.code, answer?.address], [0, undefined])
    }
    const [any, ...unknown] = await ask(instance, [
      query('a.example.com', { type: TYPE.ANY }),
      ...types.map((type) => query('example.org', { type })),
    ])
    assert.match(any?.address ?? '', COVERED_ADDRESS)
    for (const answer of unknown) assert.equal(answer?.code, 3)
  })

  test('a connection goes to egress with the name that was asked for', async () => {
    using egress = new EgressListener(workshop, 'names-egress')
    await using instance = await start(egress.records)
    const address = await addressOf(instance, 'B.a.Example.com')
    const answer = connectTo(instance, address, 443)
    assert.equal(await egress.answer('from outside\n'), 'secret-token b.a.example.com 443')
    assert.equal(await answer, 'from outside\n')
  })

  test('only the ports of their wildcards are there', async () => {
    await using instance = await start()
    const [plain, deep] = [
      await addressOf(instance, 'a.example.com'),
      await addressOf(instance, 'a.deep.example.com'),
    ]
    assert.match(await connectTo(instance, plain, 80), /Connection refused/)
    assert.match(await connectTo(instance, deep, 81), /Connection refused/)
    assert.match(await connectTo(instance, '127.100.0.1', 443), /Connection refused/)
  })

  test('the one used least recently is forgotten for a new one: its address is refused, and given to nobody', async () => {
    await using instance = await start()
    const first = await addressOf(instance, 'first.example.com')
    const kept = await addressOf(instance, 'kept.example.com')
    const others = Array.from({ length: NAMES_MAX }, (_, index) => query(`n${index}.example.com`))
    const keep = query('kept.example.com')
    const answers = await ask(
      instance,
      others.flatMap((each) => [each, keep]),
    )
    const addresses = answers.map((answer) => answer?.address)
    assert.deepEqual(new Set(addresses.filter((_, index) => index % 2 === 1)), new Set([kept]))
    assert.equal(new Set(addresses).size, NAMES_MAX + 1)
    assert.ok(!addresses.includes(first))
    assert.match(await connectTo(instance, first, 443), /Connection refused/)
    assert.notEqual(await addressOf(instance, 'first.example.com'), first)
  })

  test('a name for which there is no place to listen is a failure of the server, said in the log', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/tmp/probe', 'serve', '0.0.0.0', '8443'],
      records: [...NAME_RECORDS, ['wildcard', '8443:*.busy.test'], ['port', '8443']],
    })
    const watch = await instance.watch()
    await watch.event('listen')
    const [busy, other] = await ask(instance, [query('a.busy.test'), query('a.example.com')])
    assert.equal(busy?.code, 2)
    assert.equal(other?.code, 0)
    assert.match(String(instance.readOut('log')), /no place to listen for a\.busy\.test/)
  })
})

suite('ainit: an IPv6 address that is declared', { skip: ipv6Missing() }, () => {
  const relay = ['relay', '[2001:db8::1]:443:2001:db8::1'] as const

  test('is on loopback, and a connection to it goes to egress', async () => {
    using egress = new EgressListener(workshop, 'ipv6-egress')
    await using instance = await start([relay, ...egress.records])
    const answer = connectTo(instance, '2001:db8::1', 443)
    assert.equal(await egress.answer('from outside\n'), 'secret-token 2001:db8::1 443')
    assert.equal(await answer, 'from outside\n')
    assert.match(await connectTo(instance, '2001:db8::1', 80), /Connection refused/)
    assert.match(await connectTo(instance, '2001:db8::2', 443), /unreachable|Cannot assign/)
  })

  test('is not taken for a port of the task', async () => {
    await using instance = await Instance.start(workshop, {
      args: ['/tmp/probe', 'serve', '::1', '8080'],
      records: [...NAME_RECORDS, relay, ['port', '8080']],
    })
    const watch = await instance.watch()
    assert.match(await watch.event('listen'), /port=8080 declared=1$/)
  })
})

function ipv6Missing(): string | false {
  const found = Object.values(networkInterfaces()).flat()
  return found.some((each) => each?.family === 'IPv6') ? false : 'this machine has no IPv6'
}
