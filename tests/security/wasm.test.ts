/**
 * Modules that mean harm, against a whole node: each is refused or ended with a reason, and a task in the same executor answers
 * every request meanwhile. Host calls with every pointer out of range are tried elsewhere (executor/host/fuzz.test.ts,
 * executor/wasi/fuzz.test.ts), limits in wasm-limits.test.ts.
 */

import assert from 'node:assert/strict'
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { TestNode, type CommandResult, type HttpResult } from '../e2e/harness.ts'
import { underLoad } from '../e2e/load.ts'
import { executorProcesses, isLive, liveInstance } from '../e2e/wreck.ts'
import { compileTextToBytes } from '../fixtures/compile.ts'
import { HOSTILE_GUESTS } from '../fixtures/wasm-hostile.ts'
import { commandText, deployText } from '../fixtures/wasm-node.ts'
import {
  functionBody,
  functionType,
  largeSection,
  leb,
  section,
  text,
  vector,
} from '../fixtures/wasm.ts'

const SEED = Number(process.env['QUIVER_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))
const ROUNDS = 60
const MANY = 1_000_000

suite('hostile modules', () => {
  let node: TestNode
  let valid: Uint8Array<ArrayBuffer>
  before(async () => {
    node = await TestNode.start()
    const neighbour = commandText('(call $say)')
    await deployText(node, 'neighbour', neighbour, '[scale]\nstop_after = "1h"\n')
    valid = await compileTextToBytes(neighbour, 'valid', node.folder)
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** The neighbour answers every request meanwhile, and its executor is the same afterwards. */
  async function beside<T>(work: () => Promise<T>): Promise<T> {
    assert.equal((await node.get('neighbour')).body, 'ok\n')
    const { task } = await executorProcesses(node)
    const { id } = await liveInstance(node, 'neighbour')
    const results: T[] = []
    const { failures } = await underLoad(node, 'neighbour', async () => {
      results.push(await work())
    })
    assert.deepEqual(failures, [])
    assert.equal((await executorProcesses(node)).task, task, 'the executor was replaced')
    assert.equal((await liveInstance(node, 'neighbour')).id, id)
    const [result] = results
    assert.ok(result !== undefined)
    return result
  }

  async function tryDeploy(name: string, bytes: Uint8Array, more = ''): Promise<CommandResult> {
    const folder = await node.writeFiles({
      'quiver.toml': `name = "${name}"\nfile = "app.wasm"\n[http]\n${more}`,
    })
    await writeFile(path.join(folder, 'app.wasm'), bytes)
    return await node.quiver('deploy', folder)
  }

  async function assertRefused(name: string, bytes: Uint8Array, reason: RegExp): Promise<void> {
    const { status, stderr } = await beside(() => tryDeploy(name, bytes))
    assert.notEqual(status, 0)
    assert.match(stderr, reason)
    assert.match(stderr, /^error: /m)
    assert.doesNotMatch(stderr, /^ {4}at /m)
  }

  test('cut off at any byte', async () => {
    for (const share of [0.001, 0.05, 0.3, 0.5, 0.8, 0.99]) {
      const cut = valid.subarray(0, Math.max(1, Math.floor(valid.length * share)))
      await assertRefused('cut', cut, /MODULE_/)
    }
  })

  test('malformed', async () => {
    const cases = {
      'no-magic': Buffer.from('not WebAssembly at all'),
      'other-version': Buffer.from('0061736d09000000', 'hex'),
      'unknown-section': Buffer.from([...valid, 0x7f, 1, 0]),
      'endless-number': Buffer.from([...valid.subarray(0, 9), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      'wrong-types': buildModule([[0x41, 0]], {}),
    }
    for (const [name, bytes] of Object.entries(cases)) await assertRefused(name, bytes, /MODULE_/)
  })

  test('too much of everything', async () => {
    const huge = Buffer.alloc(257 * 1024 * 1024)
    huge.set(valid)
    await assertRefused('oversized', huge, /MODULE_TOO_LARGE/)
    const memory = section(5, vector([0, ...leb(65_536)]))
    await assertRefused('four-gib', buildModule([[]], { memory }), /MODULE_MEMORY_TOO_LARGE/)
    await assertRefused('exports', buildModule([[]], { exportCount: MANY }), /MODULE_/)
    // A million instructions deep.
    const nested = [...repeat([0x02, 0x40], 100_000), ...repeat([0x0b], 100_000)]
    await beside(() => tryDeploy('nested', buildModule([nested], {})))
    const wide = buildModule(
      Array.from({ length: 100_000 }, () => []),
      {},
    )
    await beside(() => tryDeploy('wide', wide))
  })

  test('imports that nobody offers', async () => {
    const imports = await compileTextToBytes(
      `(module (import "wasi_snapshot_preview1" "fd_raed" (func))
        (import "wasi_snapshot_preview1" "open_everything" (func)) (func (export "_start")))`,
      'imports',
      node.folder,
    )
    const { stderr } = await beside(() => tryDeploy('imports', imports))
    assert.match(stderr, /fd_raed/)
    assert.match(stderr, /open_everything/)
  })

  test(`random bytes and damaged modules (seed ${SEED})`, async () => {
    const random = generator(SEED)
    await beside(async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = round % 3 === 0 ? garbage(random) : damaged(valid, random)
        const { status, stderr } = await tryDeploy('fuzz', bytes)
        // What is whole by chance is deployed, and may do what it likes with its request.
        if (status === 0) await node.get('fuzz').catch(() => {})
        else assert.match(stderr, /^error: .*\((MODULE|SPEC|INSTANTIATION|RESPONSE)\w+\)/m)
        assert.ok(
          status === 0 || status === 65 || status === 64 || status === 69,
          `${status} ${stderr}`,
        )
      }
      return true
    })
  })

  async function ask(name: string, source: string, more = ''): Promise<HttpResult> {
    await deployText(node, name, source, more)
    return await beside(() => node.get(name))
  }

  async function assertFails(name: string, source: string, reason: string): Promise<void> {
    const answer = await ask(name, source)
    assert.deepEqual([answer.status, JSON.parse(answer.body).reason], [502, reason], answer.body)
  }

  test('a guest that closes stdout has said nothing', async () => {
    await assertFails(
      'closes',
      commandText('(drop (call $close (i32.const 1))) (call $say)'),
      'RESPONSE_INVALID',
    )
  })

  test('a guest that exits with more than a byte, or traps before it says anything', async () => {
    await assertFails('exits', commandText('(call $exit (i32.const 256))'), 'EXITED')
    await assertFails('exits-far', commandText('(call $exit (i32.const -1))'), 'EXITED')
    await assertFails('traps', commandText('(unreachable)'), 'TRAPPED')
  })

  test('a guest that traps in the middle of its answer', async () => {
    const half = commandText(`(local $left i32) (local.set $left (i32.const 100))
      (call $say)
      (loop $more
        (call $put (i32.const 1) (i32.const 16) (i32.const 8000))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left)))
      (unreachable)`)
    await deployText(node, 'half', half)
    await assert.rejects(
      beside(() => node.get('half')),
      /aborted|ECONNRESET|hang up/,
    )
  })

  test('a guest that never reads what is sent', async () => {
    await deployText(node, 'deaf', commandText('(call $say)'))
    const body = 'x'.repeat(4 * 1024 * 1024)
    const answer = await beside(() =>
      node.request('deaf.localhost', '/', { method: 'POST' }, body).catch(() => undefined),
    ).catch(() => undefined)
    // The answer may come before the body is sent, and the connection ends then.
    if (answer !== undefined) assert.equal(answer.body, 'ok\n')
    assert.equal((await node.get('deaf')).body, 'ok\n')
  })

  test('a guest that writes 10 GiB, to a client that reads and to one that does not', async () => {
    const floods = commandText(`(call $say)
      (loop $more (call $put (i32.const 1) (i32.const 16) (i32.const 65000)) (br $more))`)
    await deployText(node, 'floods', floods, '[wasm]\noutput = "10GiB"\ncpu_time = "2s"\n')
    const { task } = await executorProcesses(node)
    const most = await beside(async () => {
      const socket = connect(node.httpPort, '127.0.0.1')
      socket.on('error', () => {})
      socket.write('GET / HTTP/1.1\r\nHost: floods.localhost\r\n\r\n')
      await node.until('the flood', async () => (socket.bytesRead > 0 ? true : undefined))
      socket.pause()
      await assert.rejects(node.get('floods'), /aborted|ECONNRESET|hang up|Invalid string length/)
      const resident = await residentBytes(task)
      socket.destroy()
      return resident
    })
    assert.ok(most < 600 * 1024 * 1024, `${most} bytes`)
  })

  test('headers that would end others', async () => {
    const evil = [
      'X-A: b\\0d\\0aX-Injected: yes',
      'X-A: b\\0dX-Injected: yes',
      'X-A: \\00',
      'Bad Name: x',
    ]
    for (const [index, header] of evil.entries()) {
      const head = `Content-Type: text/plain\\0a${header}\\0a\\0abody`
      const source = commandText(
        '(call $put (i32.const 1) (i32.const 8192) (i32.const 60))',
        `(data (i32.const 8192) "${head}")`,
      )
      const answer = await ask(`injects-${index}`, source)
      if (answer.status === 200) assert.equal(index, 0)
      else assert.equal(JSON.parse(answer.body).reason, 'RESPONSE_INVALID')
    }
    const smuggles = commandText(
      '(call $put (i32.const 1) (i32.const 8192) (i32.const 100))',
      `(data (i32.const 8192) "Content-Type: text/plain\\0aContent-Length: 3\\0aTransfer-Encoding: chunked\\0aConnection: x\\0a\\0aHTTP/1.1 200 OK")`,
    )
    const answer = await ask('smuggles', smuggles)
    assert.equal(answer.status, 200)
    assert.match(answer.body, /^HTTP\/1\.1 200 OK/)
  })

  test('all of them at once', async () => {
    const names = Object.keys(HOSTILE_GUESTS)
    for (const [name, { text: source, manifest }] of Object.entries(HOSTILE_GUESTS)) {
      await deployText(node, name, source, manifest)
    }
    await beside(async () => {
      const rounds = Array.from({ length: 5 }, () => names).flat()
      const asked = rounds.map((name) => node.get(name).catch(() => undefined))
      assert.equal((await Promise.all(asked)).length, rounds.length)
      return true
    })
  })

  test('an executor has no files, no network, no privileges, and a user of its own', async () => {
    await node.get('neighbour')
    const { task } = await executorProcesses(node)
    const status = await readFile(`/proc/${task}/status`, 'utf8')
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? ''
    assert.equal(field('Seccomp'), '2')
    assert.equal(field('NoNewPrivs'), '1')
    assert.match(field('CapEff'), /^0+$/)
    assert.match(field('CapBnd'), /^0+$/)
    const uids = new Set(field('Uid').split('\t'))
    assert.equal(uids.size, 1)
    if (process.getuid?.() === 0) assert.ok(!uids.has('0'))
    const namespaces = await readdir('/proc/self/ns')
    for (const name of ['net', 'pid', 'mnt', 'ipc', 'uts']) {
      assert.ok(namespaces.includes(name))
      const [ours, its] = await Promise.all(
        ['self', task].map((pid) => readlink(`/proc/${pid}/ns/${name}`)),
      )
      assert.notEqual(its, ours, name)
    }
    const devices = await readFile(`/proc/${task}/net/dev`, 'utf8')
    assert.deepEqual(
      [...devices.matchAll(/^ *(\w+):/gm)].map(([, name]) => name),
      ['lo'],
    )
    for (const folder of ['home', 'root', 'app']) {
      assert.deepEqual(await readdir(`/proc/${task}/root/${folder}`), [], folder)
    }
    const mounts = await readFile(`/proc/${task}/mountinfo`, 'utf8')
    const writable = mounts
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' '))
      .filter(([, , , , , options]) => options?.split(',').includes('rw'))
      .map(([, , , , place]) => place ?? '')
    // In memory, small, and gone with it.
    for (const place of writable) assert.match(place, /^\/(dev|proc|tmp|var\/tmp|app|run|$)/, place)
  })

  test('nothing of all this is left running', async () => {
    const tasks = await node.ps()
    for (const { name } of tasks) {
      const { instances } = await node.describe(name)
      for (const { inFlight } of instances.filter(isLive)) assert.equal(inFlight, 0, name)
    }
  })
})

interface ModuleShape {
  readonly memory?: readonly number[]
  readonly exportCount?: number
}

/** Functions of `() -> ()` with these bodies; the first is `_start`. */
function buildModule(bodies: readonly (readonly number[])[], shape: ModuleShape): Uint8Array {
  const { memory, exportCount = 0 } = shape
  const start = [...text('_start'), 0, 0]
  const more = Array.from({ length: exportCount }, (_, index) => [...text(`e${index}`), 0, 0])
  return Buffer.concat([
    Buffer.from('0061736d01000000', 'hex'),
    Buffer.from(section(1, vector(functionType([], [])))),
    largeSection(
      3,
      Array.from(bodies, () => [0]),
    ),
    Buffer.from(memory ?? []),
    largeSection(7, [start, ...more]),
    largeSection(10, bodies.map(functionBody)),
  ])
}

function repeat(bytes: readonly number[], count: number): readonly number[] {
  return Array.from({ length: count }, () => bytes).flat()
}

/** Numbers from 0 to 1 that the seed decides (mulberry32). */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function garbage(random: () => number): Uint8Array {
  const bytes = Uint8Array.from({ length: 8 + Math.floor(random() * 2000) }, () => random() * 256)
  bytes.set([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
  return bytes
}

function damaged(valid: Uint8Array, random: () => number): Uint8Array {
  const bytes = Uint8Array.from(valid)
  const count = 1 + Math.floor(random() * 4)
  for (let index = 0; index < count; index++) {
    bytes[8 + Math.floor(random() * (bytes.length - 8))] = random() * 256
  }
  return bytes
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024
}
