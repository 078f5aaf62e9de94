import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { spec as sample } from '../../tests/fixtures/samples.ts'
import { FakeBridge } from '../../tests/fixtures/scheduler.ts'
import type { IdentitySpec, Revision, Task, TaskSpec } from '../core/task.ts'

import { AddressBook } from './addresses.ts'

const NOBODY: IdentitySpec = { hostname: null, ip: null, mac: null, dns: [] }

/** A task on the bridge that may have three instances. */
function onBridge(name: string, changes: Partial<TaskSpec> = {}): TaskSpec {
  const scale = { ...sample.scale, min: 0, max: 3 }
  return { ...sample, name, network: 'bridge', allow: [], connect: [], scale, ...changes }
}

function fixed(name: string, identity: Partial<IdentitySpec>): TaskSpec {
  const scale = { ...sample.scale, min: 0, max: 1 }
  return onBridge(name, { scale, identity: { ...NOBODY, ...identity } })
}

/** Tasks that are deployed, as the registry knows them. */
class Town {
  readonly bridge: FakeBridge
  readonly book: AddressBook
  readonly #tasks = new Map<string, { readonly task: Task; readonly spec: TaskSpec }>()

  constructor(subnet?: string, range?: string) {
    this.bridge = new FakeBridge(subnet, range)
    this.book = new AddressBook(this.bridge, {
      get: (name) => this.#tasks.get(name)?.task,
      list: () => [...this.#tasks.values()].map(({ task }) => task),
      current: (task) => this.#revision(task.name),
    })
  }

  async deploy(spec: TaskSpec, instances: number | null = null): Promise<Task> {
    using assigned = await this.book.assign(spec, 'service', instances)
    const task = {
      ...({
        name: spec.name,
        kind: 'service',
        traffic: [{ revision: 1, percent: 100 }],
        revisionLast: 1,
        candidate: null,
        previous: null,
        desired: 'on',
        isRemovedAtEnd: false,
        instances,
        uidIndex: 0,
        createdAtMs: 0,
      } satisfies Task),
      ...assigned.record,
    }
    this.#tasks.set(spec.name, { task, spec })
    return task
  }

  /** Addresses, by their last number. */
  async addresses(spec: TaskSpec, instances: number | null = null): Promise<readonly string[]> {
    const { bridgePlaces } = await this.deploy(spec, instances)
    return this.book.list(spec, bridgePlaces).map(({ address }) => address)
  }

  #revision(name: string): Revision | undefined {
    const known = this.#tasks.get(name)
    if (known === undefined) return undefined
    return { task: name, number: 1, image: 'sha256:', spec: known.spec, createdAtMs: 0 }
  }
}

suite('addresses on the bridge', () => {
  test('a task has one for each instance it may have, and keeps them', async () => {
    const town = new Town()
    assert.deepEqual(await town.addresses(onBridge('a')), ['10.83.0.2', '10.83.0.3', '10.83.0.4'])
    assert.deepEqual(await town.addresses(onBridge('b')), ['10.83.0.5', '10.83.0.6', '10.83.0.7'])
    const more = onBridge('a', { scale: { ...sample.scale, max: 4 } })
    assert.deepEqual((await town.addresses(more)).slice(2), ['10.83.0.4', '10.83.0.8'])
    assert.equal((await town.addresses(onBridge('b'), 5)).length, 5, 'scaled beyond its manifest')
  })

  test('who is not on the bridge has none, and keeps those of before for a rollback', async () => {
    const town = new Town()
    assert.equal((await town.deploy({ ...sample, name: 'a' })).bridgePlaces, undefined)
    assert.deepEqual(town.book.list({ ...sample, name: 'a' }, [2]), [])
  })

  test('two deployments at once do not get the same', async () => {
    const { book } = new Town()
    const [one, two] = await Promise.all(
      ['a', 'b'].map((name) => book.assign(onBridge(name), 'service', null)),
    )
    assert.deepEqual(one?.record.bridgePlaces, [2, 3, 4])
    assert.deepEqual(two?.record.bridgePlaces, [5, 6, 7])
    two?.[Symbol.dispose]()
    using three = await book.assign(onBridge('c'), 'service', null)
    assert.deepEqual(three.record.bridgePlaces, [5, 6, 7], 'what came to nothing is free again')
  })

  test('only those of the range are chosen, and never the ends, the gateway or a taken one', async () => {
    const town = new Town('10.83.0.0/24', '10.83.0.248/29')
    await town.deploy(fixed('fixed', { ip: '10.83.0.249' }))
    assert.deepEqual(await town.addresses(onBridge('a')), [
      '10.83.0.248',
      '10.83.0.250',
      '10.83.0.251',
    ])
    await town.deploy(onBridge('b'))
    await assert.rejects(town.deploy(onBridge('c')), {
      reason: 'ADDRESSES_EXHAUSTED',
      message: /3 addresses left for c/,
    })
  })

  test('a fixed one is had by one instance, with the hardware address that belongs to it', async () => {
    const town = new Town()
    const spec = fixed('a', { ip: '10.83.0.77' })
    const { bridgePlaces } = await town.deploy(spec)
    assert.deepEqual(town.book.list(spec, bridgePlaces), [
      { address: '10.83.0.77', prefixBits: 24, mac: '02:71:0a:53:00:4d' },
    ])
    await assert.rejects(town.deploy(spec, 2), { reason: 'SPEC_UNSUPPORTED' })
  })

  const conflicts: readonly [what: string, spec: TaskSpec, expected: object][] = [
    [
      'a fixed address of another',
      fixed('b', { ip: '10.83.0.77' }),
      { reason: 'IP_TAKEN', message: 'the address 10.83.0.77 belongs to the task fixed' },
    ],
    [
      'a chosen address of another',
      fixed('b', { ip: '10.83.0.3' }),
      { reason: 'IP_TAKEN', message: /belongs to the task auto/ },
    ],
    [
      'a hardware address of another',
      fixed('b', { mac: '02:00:5e:10:00:01' }),
      { reason: 'MAC_TAKEN', message: /belongs to the task fixed/ },
    ],
    [
      'one that belongs to an address of another',
      fixed('b', { mac: '02:71:0a:53:00:02' }),
      { reason: 'MAC_TAKEN', message: /belongs to the task auto/ },
    ],
    [
      'a host name of another',
      fixed('b', { hostname: 'db' }),
      { reason: 'HOSTNAME_TAKEN', message: 'the host name db belongs to the task fixed' },
    ],
    [
      'the name of another as host name',
      fixed('b', { hostname: 'auto' }),
      { reason: 'HOSTNAME_TAKEN' },
    ],
    ['the host name of another as name', onBridge('db'), { reason: 'HOSTNAME_TAKEN' }],
    [
      'an address of another subnet',
      fixed('b', { ip: '10.84.0.1' }),
      { reason: 'IP_OUTSIDE', message: '10.84.0.1 is nobody on the bridge, 10.83.0.0/24' },
    ],
    ['the address of the subnet', fixed('b', { ip: '10.83.0.0' }), { reason: 'IP_OUTSIDE' }],
    ['the address of everybody', fixed('b', { ip: '10.83.0.255' }), { reason: 'IP_OUTSIDE' }],
    [
      'an address without a bridge',
      { ...fixed('b', { ip: '10.83.0.9' }), network: 'private' },
      { reason: 'SPEC_UNSUPPORTED', message: /network = "private"/ },
    ],
    [
      'a host on the bridge as one outside',
      onBridge('b', { allow: [{ scheme: 'http', host: '10.83.0.9', port: 80 }] }),
      { reason: 'SPEC_UNSUPPORTED', message: /allows 10.83.0.9, which is on the bridge/ },
    ],
  ]
  for (const [what, spec, expected] of conflicts) {
    test(`refuses ${what}`, async () => {
      const town = new Town()
      await town.deploy(onBridge('auto'))
      await town.deploy(
        fixed('fixed', { ip: '10.83.0.77', mac: '02:00:5e:10:00:01', hostname: 'db' }),
      )
      await assert.rejects(town.deploy(spec), expected)
    })
  }

  test('a task is in nobody his own way when it is deployed again', async () => {
    const town = new Town()
    const spec = fixed('a', { ip: '10.83.0.77', mac: '02:00:5e:10:00:01', hostname: 'db' })
    await town.deploy(spec)
    await town.deploy(spec)
  })

  test('an address whose hardware address somebody has fixed is not chosen', async () => {
    const town = new Town()
    await town.deploy(fixed('fixed', { ip: '10.83.0.77', mac: '02:71:0a:53:00:03' }))
    assert.deepEqual(await town.addresses(onBridge('a')), ['10.83.0.2', '10.83.0.4', '10.83.0.5'])
  })
})

suite('addresses of instances', () => {
  test('each takes the first that no other has, and gives it back', async () => {
    const town = new Town()
    const spec = onBridge('a')
    const task = await town.deploy(spec)
    const take = () => town.book.take(task, spec)
    const taken = [take(), take(), take()]
    assert.deepEqual(
      taken.map((one) => one?.interface.address),
      ['10.83.0.2', '10.83.0.3', '10.83.0.4'],
    )
    taken[1]?.[Symbol.dispose]()
    assert.equal(take()?.interface.address, '10.83.0.3')
    // None is left: it inherits one.
    assert.equal(take()?.interface.address, '10.83.0.2')
    assert.equal(town.book.take(task, { ...spec, network: 'private' }), undefined)
  })

  test('what one still has is not given to another task', async () => {
    const town = new Town()
    const task = await town.deploy(onBridge('a'))
    assert.ok(town.book.take(task, onBridge('a')) !== undefined)
    await town.deploy(fixed('a', { ip: '10.83.0.77' }))
    assert.deepEqual(await town.addresses(onBridge('b')), ['10.83.0.3', '10.83.0.4', '10.83.0.5'])
  })

  test('in another subnet they are renewed when the node starts', async () => {
    const town = new Town('10.83.0.0/16', '10.83.4.0/24')
    const spec = onBridge('a')
    const task = await town.deploy(spec)
    assert.equal(town.book.list(spec, task.bridgePlaces)[0]?.address, '10.83.4.0')
    town.bridge.range = town.bridge.subnet = new FakeBridge('192.168.7.0/24').subnet
    assert.throws(() => town.book.take(task, spec), { reason: 'IP_OUTSIDE' })
    const saved: Task[] = []
    await town.book.renew(task, { save: async (one) => void saved.push(one) })
    assert.deepEqual(saved, [{ ...task, bridgePlaces: [2, 3, 4] }])
    // A fixed one is its owner's to change.
    const stuck = await new Town('10.83.0.0/16').deploy(fixed('b', { ip: '10.83.0.77' }))
    assert.throws(
      () => town.book.take(stuck, fixed('b', { ip: '10.83.0.77' })),
      /10.83.0.77 is nobody/,
    )
  })
})
