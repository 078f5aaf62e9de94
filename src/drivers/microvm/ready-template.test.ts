/** Machines that go on from where another of their revision was ready: fast, and each somebody else. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, stat, truncate } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'

import {
  openMicrovmNode,
  whyNoMicrovms,
  type MicrovmNode,
} from '../../../tests/fixtures/microvm-node.ts'
import { HTTP, NO_STDIO, openStream, SPEC } from '../../../tests/fixtures/sandbox-node.ts'
import type { QuiverError } from '../../core/error.ts'
import type { TaskSpec } from '../../core/task.ts'
import type { Driver, Instance, InstancePlan } from '../driver.ts'

const MIB = 1024 * 1024
const START_MS = 60_000
/** Machines at the same time. */
const CROWD = 4

/** Each has used its generators before it is ready, and answers with what they give then; one once it has seen that it is another. */
const PYTHON = `
import http.server, json, os, ssl, uuid
draw = lambda: {"urandom": os.urandom(16).hex(), "uuid": str(uuid.uuid4()), "openssl": ssl.RAND_bytes(16).hex()}
draw()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(draw()).encode())
    def log_message(self, *parts):
        pass
server = http.server.HTTPServer(("127.0.0.1", 8000), Handler)
print("printed before it is ready", flush=True)
server.serve_forever()
`

const NODE = `
const { randomBytes, randomUUID } = require('node:crypto')
const noticed = new Promise((notice) => require('node:fs').watch('/etc/machine-id', notice))
const draw = () => ({
  bytes: randomBytes(16).toString('hex'),
  uuid: randomUUID({ disableEntropyCache: true }),
  web: Buffer.from(globalThis.crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
})
draw()
require('node:http').createServer(async (asked, answer) => {
  await noticed
  answer.end(JSON.stringify(draw()))
}).listen(8000, '127.0.0.1')
`

async function buildPlan(
  node: MicrovmNode,
  runtime: string,
  args: readonly string[],
  changes: Partial<TaskSpec> = {},
): Promise<InstancePlan> {
  const binary = await node.images.resolveBinary({ name: runtime, version: undefined })
  const { path: binaryTree } = await node.images.materialise(binary.digest)
  return {
    id: `conformance-1-${randomBytes(3).toString('hex')}`,
    task: 'conformance',
    revision: 1,
    spec: {
      ...SPEC,
      isolation: 'microvm',
      snapshot: 'ready',
      args,
      http: HTTP,
      limits: { ...SPEC.limits, memoryBytes: 128 * MIB, startTimeoutMs: START_MS },
      ...changes,
    },
    binaryTree,
    imageTree: node.emptyTree,
    entry: binary.config.entry,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...binary.config.env },
    uidIndex: 0,
    relays: [],
    mounts: [],
    wildcards: [],
    token: '0'.repeat(32),
    stdio: NO_STDIO,
    isRun: false,
  }
}

/** Ends with `live`. */
async function start(
  driver: Driver,
  plan: InstancePlan,
  live: AsyncDisposableStack,
): Promise<Instance> {
  const id = `conformance-${plan.revision}-${randomBytes(3).toString('hex')}`
  const instance = await driver.prepare({ ...plan, id })
  live.defer(async () => {
    await instance.stop('STOPPED', 0)
    await instance.remove()
  })
  await instance.start(AbortSignal.timeout(START_MS))
  return instance
}

/** The phases of a start that is ended at once. */
async function startAndEnd(driver: Driver, plan: InstancePlan): Promise<readonly string[]> {
  await using live = new AsyncDisposableStack()
  return phasesOf(await start(driver, plan, live))
}

/** The body of its answer. */
async function ask(instance: Instance): Promise<string> {
  const stream = await openStream(instance.endpoint, 8000, AbortSignal.timeout(START_MS))
  stream.write('GET / HTTP/1.0\r\n\r\n')
  const answer = await text(stream)
  return answer.slice(answer.indexOf('\r\n\r\n') + 4)
}

/** What each of `count` clones draws, by the name of the generator. */
async function drawFromAll(
  driver: Driver,
  plan: InstancePlan,
  count: number,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const drawn = new Map<string, string[]>()
  const one = async (): Promise<void> => {
    await using live = new AsyncDisposableStack()
    const instance = await start(driver, plan, live)
    assert.deepEqual(phasesOf(instance), ['restore'])
    const said: Record<string, string> = JSON.parse(await ask(instance))
    for (const [name, value] of Object.entries(said))
      drawn.set(name, [...(drawn.get(name) ?? []), value])
  }
  for (let at = 0; at < count; at += CROWD) {
    await Promise.all(Array.from({ length: Math.min(CROWD, count - at) }, one))
  }
  return drawn
}

function phasesOf({ phases }: Instance): readonly string[] {
  return phases.map(({ name }) => name)
}

const failing = (error: QuiverError): void => assert.fail(error)

suite('ready templates', { skip: await whyNoMicrovms() }, () => {
  const PROGRAMS = [
    ['python3', ['-c', PYTHON], 20, 3],
    ['node', ['-e', NODE], 8, 3],
  ] as const
  for (const [runtime, args, count, generators] of PROGRAMS) {
    test(`${count} clones of ${runtime} draw ${count} different random streams`, async () => {
      await using node = await openMicrovmNode()
      await using driver = await node.openDriver(failing)
      const plan = await buildPlan(node, runtime, args)
      const drawn = await drawFromAll(driver, plan, count)
      assert.equal(drawn.size, generators)
      for (const [name, values] of drawn) assert.equal(new Set(values).size, count, name)
    })
  }

  test('the first start makes it, and has in its log what the program printed; all go on from it', async () => {
    await using node = await openMicrovmNode()
    await using driver = await node.openDriver(failing)
    const plan = await buildPlan(node, 'python3', ['-c', PYTHON])
    await using live = new AsyncDisposableStack()
    const [first, second] = [await start(driver, plan, live), await start(driver, plan, live)]
    assert.deepEqual([phasesOf(first), phasesOf(second)], [['restore'], ['restore']])
    assert.equal((await readdir(node.templatesFolder)).length, 1)
    const [before, after] = await Promise.all(
      [first, second].map(({ folder }) => readFile(path.join(folder, 'out', 'log'), 'latin1')),
    )
    assert.match(before ?? '', /printed before it is ready/)
    assert.doesNotMatch(before ?? '', /virtual machine ended/)
    assert.equal(after, '')
    assert.notEqual(await ask(first), await ask(second))
  })

  test('its revision has it alone: another revision, other variables and another file are others', async () => {
    await using node = await openMicrovmNode()
    await using driver = await node.openDriver(failing)
    const plan = await buildPlan(node, 'busybox', ['-f', '-p', '8000'], { argv0: 'httpd' })
    const names = async (): Promise<readonly string[]> => await readdir(node.templatesFolder)
    const red = { ...plan, env: { ...plan.env, COLOUR: 'red' } }
    await startAndEnd(driver, plan)
    const [first = ''] = await names()
    await startAndEnd(driver, red)
    const [other = '', ...rest] = await names()
    assert.notEqual(other, first)
    assert.deepEqual(rest, [], 'what nobody goes on from any more is gone')
    await truncate(path.join(node.templatesFolder, other, 'memory'), MIB)
    assert.deepEqual(await startAndEnd(driver, red), ['restore'])
    await startAndEnd(driver, { ...plan, revision: 2 })
    assert.equal((await names()).length, 2)
    driver.prune?.((_task, revision) => revision === 2)
    while ((await names()).length > 1) await new Promise(setImmediate)
  })

  test('a program that never gets ready is started as any other, which says why', async () => {
    await using node = await openMicrovmNode()
    const told: QuiverError[] = []
    await using driver = await node.openDriver((error) => told.push(error))
    const plan = await buildPlan(node, 'busybox', ['-c', 'echo no >&2; exit 3'], { argv0: 'sh' })
    await assert.rejects(startAndEnd(driver, plan), { reason: 'EXITED_EARLY' })
    assert.deepEqual(
      told.map(({ reason }) => reason),
      ['INSTANCE_GONE'],
    )
    assert.deepEqual(await readdir(node.templatesFolder), [])
  })

  test('nobody but its task may read the memory, which has the variables of the program', async () => {
    await using node = await openMicrovmNode()
    await using driver = await node.openDriver(failing)
    const plan = await buildPlan(node, 'busybox', ['-f', '-p', '8000'], { argv0: 'httpd' })
    await startAndEnd(driver, plan)
    const [name = ''] = await readdir(node.templatesFolder)
    const { mode, gid } = await stat(path.join(node.templatesFolder, name, 'memory'))
    assert.equal(mode & 0o777, 0o440)
    assert.equal(gid, node.host.uidBase ?? process.getgid?.())
  })
})
