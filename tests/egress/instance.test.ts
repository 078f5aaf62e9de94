/** The whole way out of a real instance: its own /etc/hosts, ainit's relay, the egress relay, a server outside. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { globSync, rmdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import type { Driver, Instance, InstancePlan } from '../../src/drivers/driver.ts'
import { installProcessHost } from '../../src/drivers/process.ts'
import { openSandboxDriver } from '../../src/drivers/sandbox/index.ts'
import { Egress } from '../../src/egress/egress.ts'
import { close, listenSeqpacket } from '../../src/fds/fds.ts'
import { openTestImages } from '../fixtures/images.ts'
import { spec } from '../fixtures/samples.ts'

import { grantTo, listenTcp, localHost } from './fixture.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const isRoot = process.getuid?.() === 0

/** The driver, an image of nothing but busybox, and the node's folders. */
async function openNode(resources: AsyncDisposableStack) {
  const { images, dataFolder } = resources.use(await openTestImages())
  const [runFolder, imageTree] = ['run', 'app'].map((name) => path.join(dataFolder, name))
  if (runFolder === undefined || imageTree === undefined) throw new Error('two folders are made')
  for (const name of ['i', 'e']) await mkdir(path.join(runFolder, name), { recursive: true })
  await mkdir(imageTree)
  const busybox = await images.resolveBinary({ name: 'busybox', version: undefined })
  const { path: binaryTree } = await images.materialise(busybox.digest)
  const host = await installProcessHost({
    dataFolder,
    runFolder,
    ainitPath: path.join(ROOT, 'native/build/ainit'),
    uidBase: isRoot ? 301_000 : null,
    streamGid: null,
  })
  const nodeId = randomBytes(4).toString('hex')
  const driver = resources.use(await openSandboxDriver(host, nodeId))
  resources.defer(() => {
    for (const group of globSync(`/sys/fs/cgroup/{,*/}quiver/${nodeId}`)) rmdirSync(group)
  })
  const plan = (
    relays: InstancePlan['relays'],
    wildcards: InstancePlan['wildcards'] = [],
  ): InstancePlan => ({
    id: `egress-1-${randomBytes(3).toString('hex')}`,
    task: 'egress',
    revision: 1,
    spec: { ...spec, http: null, argv0: 'sleep', args: ['3600'], workdir: '/' },
    binaryTree,
    imageTree,
    entry: busybox.config.entry,
    env: { PATH: '/usr/bin' },
    uidIndex: 0,
    relays,
    mounts: [],
    wildcards,
    token: 't1',
    stdio: { isTerminal: false, isHeld: false, hasStdin: false },
    isRun: false,
  })
  return { driver, plan, egressPath: path.join(host.egressFolder, 'egress.sock') }
}

async function startInstance(driver: Driver, plan: InstancePlan): Promise<Instance> {
  const instance = await driver.prepare(plan)
  await instance.start(AbortSignal.timeout(10_000))
  return instance
}

/** Runs a command of busybox inside. */
async function run(instance: Instance, ...args: readonly string[]) {
  const session = await instance.exec({
    args,
    env: { PATH: '/usr/bin' },
    terminal: null,
    isLent: true,
  })
  const streams = Promise.all([text(session.stdout), text(session.stderr)])
  session.stdin.end()
  const status = await session.status
  await session[Symbol.asyncDispose]()
  const [output, problems] = await streams
  return { output, problems, status }
}

suite('an instance', () => {
  const resources = new AsyncDisposableStack()
  let node: Awaited<ReturnType<typeof openNode>>
  let listener: number
  before(async () => {
    node = await openNode(resources)
    listener = listenSeqpacket(node.egressPath, 0o666)
  })
  after(async () => {
    close(listener)
    await resources.disposeAsync()
  })

  test('reaches what it declared, by name, and nothing else', async (t) => {
    const server = createServer((request, response) => {
      response.end(`hello ${request.headers.host}\n`)
    })
    const port = await listenTcp(t, (socket) => server.emit('connection', socket))
    const reports: unknown[] = []
    await using egress = new Egress({
      listener,
      tunnelPath: path.join(node.egressPath, '../tunnel.sock'),
      resolver: async () => ['127.0.0.1'],
      send: (message) => reports.push(message),
      log: () => {},
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('api.example.com', port))] })
    const relays = [
      { name: 'api.example.com', address: '127.0.0.2', port },
      { name: 'other.example.com', address: '127.0.0.3', port },
    ]
    const instance = await startInstance(node.driver, node.plan(relays))
    t.after(async () => {
      await instance.stop('STOPPED', 0)
      await instance.remove()
    })

    const allowed = await run(instance, 'wget', '-q', '-O-', `http://api.example.com:${port}/`)
    assert.deepEqual(allowed, {
      output: `hello api.example.com:${port}\n`,
      problems: '',
      status: 0,
    })
    // ainit relays the name, but no grant has it.
    const denied = await run(instance, 'wget', '-q', '-O-', `http://other.example.com:${port}/`)
    assert.equal(denied.status, 1)
    assert.deepEqual(reports, [
      {
        type: 'denied',
        instance: 'i1',
        target: `other.example.com:${port}`,
        reason: 'TARGET_UNDECLARED',
      },
    ])
    // The host's loopback is not the instance's.
    const direct = await run(instance, 'wget', '-q', '-O-', `http://127.0.0.1:${port}/`)
    assert.match(direct.problems, /Connection refused/)
    const unknown = await run(instance, 'wget', '-q', '-O-', 'http://www.example.com/')
    assert.match(unknown.problems, /bad address/)
  })

  test('reaches names below a wildcard, each by its own, and no other name', async (t) => {
    const server = createServer((request, response) => {
      response.end(`hello ${request.headers.host}\n`)
    })
    const port = await listenTcp(t, (socket) => server.emit('connection', socket))
    const asked: string[] = []
    await using egress = new Egress({
      listener,
      tunnelPath: path.join(node.egressPath, '../tunnel.sock'),
      resolver: async (name) => {
        asked.push(name)
        return ['127.0.0.1']
      },
      send: () => {},
      log: () => {},
    })
    egress.apply({ type: 'policy', grants: [grantTo(localHost('*.example.com', port))] })
    const instance = await startInstance(
      node.driver,
      node.plan([], [{ pattern: '*.example.com', port }]),
    )
    t.after(async () => {
      await instance.stop('STOPPED', 0)
      await instance.remove()
    })

    const names = ['one.example.com', 'a.two.example.com', 'one.example.com']
    for (const name of names) {
      const { output } = await run(instance, 'wget', '-q', '-O-', `http://${name}:${port}/`)
      assert.equal(output, `hello ${name}:${port}\n`)
    }
    assert.deepEqual(asked, names)
    for (const name of ['example.com', 'one.example.org']) {
      const { problems } = await run(instance, 'wget', '-q', '-O-', `http://${name}:${port}/`)
      assert.match(problems, /bad address/)
    }
    const looked = await run(instance, 'nslookup', 'one.example.com')
    assert.match(looked.output, /Server:\s+127\.0\.0\.53[^]*Address:\s+127\.64\.0\.1/)
  })
})
