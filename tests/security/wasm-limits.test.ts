/** Each limit of a WebAssembly task is kept, its breach is named, and tasks in the same executor go on. */

import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import type { HttpResult } from '../e2e/harness.ts'
import { TestNode } from '../e2e/harness.ts'
import { underLoad } from '../e2e/load.ts'
import { executorProcesses, liveInstance } from '../e2e/wreck.ts'
import { commandText, deployText } from '../fixtures/wasm-node.ts'

const MIB = 1024 * 1024
const NEIGHBOUR = commandText('(call $say)')
const SPIN = '(loop $again (br $again))'
const SHORT_CPU = '[wasm]\ncpu_time = "300ms"\n'

function assertBreach(answer: HttpResult, reason: string): void {
  assert.equal(answer.status, 502, answer.body)
  const body = JSON.parse(answer.body)
  assert.equal(body.reason, reason, answer.body)
  assert.ok(body.hint)
}

suite('limits of WebAssembly', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
    await deployText(node, 'neighbour', NEIGHBOUR, '[scale]\nstop_after = "1h"\n')
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** While it does what it may not, the neighbour answers every request. */
  async function beside<T>(work: () => Promise<T>): Promise<T> {
    let result: T | undefined
    const { failures } = await underLoad(node, 'neighbour', async () => {
      result = await work()
    })
    assert.deepEqual(failures, [])
    assert.ok(result !== undefined)
    return result
  }

  /** In the log, in the events, and in what describes the task. */
  async function assertTold(task: string, reason: string): Promise<void> {
    await node.until(`${reason} in the log`, async () =>
      (await node.ok('logs', task, '--json')).includes(reason) ? true : undefined,
    )
    await node.until(`${reason} as an event`, async () => {
      const events = await node.ok('events', '--task', task)
      return new RegExp(`limitReached.*${reason}`).test(events) ? true : undefined
    })
    assert.match(await node.ok('describe', task), new RegExp(`\\(${reason}\\)`))
  }

  const LOOPS = {
    'spins-in-start': commandText(SPIN),
    'spins-on-its-way': `(module (memory (export "memory") 1) (func $f ${SPIN}) (start $f)
      (func (export "_start")))`,
    'spins-at-first': `(module
      (import "quiver" "buffer_output" (func $out (result i32)))
      (memory (export "memory") 1)
      (func (export "_initialize") ${SPIN})
      (func (export "handle") (drop (call $out))))`,
  }
  for (const [name, text] of Object.entries(LOOPS)) {
    test(`an endless loop is ended: ${name}`, async () => {
      await deployText(node, name, text, SHORT_CPU)
      const answers = await beside(() => Promise.all([node.get(name), node.get(name)]))
      for (const answer of answers) assertBreach(answer, 'CPU_TIME')
      await assertTold(name, 'CPU_TIME')
      assert.equal((await liveInstance(node, name)).state, 'running')
    })
  }

  test('requests that wait beside a loop are told of it, later ones are answered', async () => {
    const mixed = commandText(
      `
      (drop (call $read (i32.const 0) (i32.const 4080) (i32.const 1) (i32.const 8)))
      (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 0x73)) (then ${SPIN}))
      (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 0x77)) (then (call $wait (i64.const 60000))))
      (call $say)`,
      '(data (i32.const 4080) "\\00\\10\\00\\00\\10\\00\\00\\00")',
    )
    await deployText(node, 'mixed', mixed, SHORT_CPU)
    const post = (body: string) => node.request('mixed.localhost', '/', { method: 'POST' }, body)
    assert.equal((await post('x')).body, 'ok\n')
    const waiting = post('wait')
    await node.until('a request in flight', async () =>
      (await liveInstance(node, 'mixed')).inFlight === 1 ? true : undefined,
    )
    assertBreach(await post('spin'), 'CPU_TIME')
    assertBreach(await waiting, 'CPU_TIME')
    // What comes while the thread is replaced may be lost with it.
    await node.until('an answer', async () => ((await post('x')).status === 200 ? true : undefined))
  })

  test('who keeps computing too long waits for the next try, which is told', async () => {
    await deployText(node, 'keeps-on', commandText(SPIN), SHORT_CPU)
    await node.until('a wait', async () => {
      assertBreach(await node.get('keeps-on'), 'CPU_TIME')
      const logs = await node.ok('logs', 'keeps-on', '--json')
      return /3 requests in a row met a limit: the next one waits 1 s/.test(logs) ? true : undefined
    })
    // It comes to its turn all the same.
    assertBreach(await beside(() => node.get('keeps-on')), 'CPU_TIME')
  })

  test('computing counts in all, however often it pauses', async () => {
    const pauses = commandText(`(local $turns i32)
      (loop $more
        (local.set $turns (i32.const 20000000))
        (loop $again
          (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
          (br_if $again (local.get $turns)))
        (call $wait (i64.const 1))
        (br $more))`)
    await deployText(node, 'pauses', pauses, SHORT_CPU)
    assertBreach(await beside(() => node.get('pauses')), 'CPU_TIME')
    await assertTold('pauses', 'CPU_TIME')
  })

  test('a guest that waits is ended with its request, and its memory is free', async () => {
    const waits = commandText(
      '(drop (memory.grow (i32.const 255))) (call $wait (i64.const 600000))',
    )
    await deployText(node, 'waits', waits, '[limits]\nrequest_timeout = "1s"\n')
    const asked = beside(() => node.get('waits'))
    await node.until('its memory', async () => {
      const { usage } = await liveInstance(node, 'waits')
      return (usage?.memoryBytes ?? 0) >= 16 * MIB ? true : undefined
    })
    const answer = await asked
    assert.deepEqual([answer.status, JSON.parse(answer.body).reason], [504, 'REQUEST_TIMEOUT'])
    await node.until('no memory', async () =>
      (await liveInstance(node, 'waits')).usage?.memoryBytes === 0 ? true : undefined,
    )
  })

  const GROW = `(loop $more
    (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
    (memory.fill (i32.const 65536) (i32.const 1) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 65536)))
    (br $more))`
  for (const [name, memory] of [
    ['grows', '(memory (export "memory") 2)'],
    ['grows-as-declared', '(memory (export "memory") 2 65536)'],
  ] as const) {
    test(`memory ends where it is to: ${name}`, async () => {
      const text = commandText(GROW, '', memory)
      await deployText(node, name, text, '[limits]\nmemory = "16MiB"\n')
      assertBreach(await beside(() => node.get(name)), 'OUT_OF_MEMORY')
      await assertTold(name, 'OUT_OF_MEMORY')
    })
  }

  test('requests that wait hold no more memory together than one may', async () => {
    const holds = commandText(`
      (drop (memory.grow (i32.const 80)))
      (memory.fill (i32.const 8192) (i32.const 1) (i32.const 5000000))
      (call $wait (i64.const 2000))
      (call $say)`)
    const more = '[limits]\nmemory = "16MiB"\n[scale]\nmax = 1\nconcurrency = 64\n'
    await deployText(node, 'holds', holds, more)
    const answers = await beside(() =>
      Promise.all(Array.from({ length: 32 }, () => node.get('holds'))),
    )
    const served = answers.filter(({ status }) => status === 200)
    const refused = answers.filter(({ status }) => status !== 200)
    assert.ok(served.length >= 1 && served.length <= 3, `${served.length} were served`)
    for (const answer of refused) assertBreach(answer, 'OUT_OF_MEMORY')
    assert.equal((await node.get('holds')).status, 200)
  })

  test('a memory that nobody can see counts as full', async () => {
    const hidden = `(module
      (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
      (memory (export "memory") 1) (memory $hidden 1)
      (func (export "_start") (loop $more (drop (call $yield)) (br $more))))`
    const more =
      '[limits]\nmemory = "16MiB"\nrequest_timeout = "2s"\n[wasm]\nhost_calls = 1000000000\n'
    await deployText(node, 'hides', hidden, more)
    const [first, second] = await Promise.all([node.get('hides'), node.get('hides')])
    const reasons = [first, second].map(({ body }) => JSON.parse(body).reason)
    assert.ok(reasons.includes('OUT_OF_MEMORY'), reasons.join(' '))
  })

  test('deep recursion is a full stack, and nothing else', async () => {
    const deep = commandText('(call $deep)', '(func $deep (call $deep))')
    await deployText(node, 'deep', deep)
    const answer = await beside(() => node.get('deep'))
    assert.deepEqual([answer.status, JSON.parse(answer.body).reason], [502, 'STACK_OVERFLOW'])
  })

  test('a table grows to its limit', async () => {
    const table = commandText(
      `(loop $more
        (if (i32.eq (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1)) (then (call $say) (return)))
        (br $more))`,
      '(table $t 1 funcref)',
    )
    await deployText(node, 'tables', table)
    assert.equal((await beside(() => node.get('tables'))).body, 'ok\n')
  })

  test('an answer ends at wasm.output: short ones are named, long ones are cut', async () => {
    const floods = commandText(
      `(call $say) (loop $more (call $put (i32.const 1) (i32.const 16) (i32.const 4000)) (br $more))`,
    )
    await deployText(node, 'floods', floods, '[wasm]\noutput = "8KiB"\n')
    assertBreach(await node.get('floods'), 'OUTPUT_TOO_LARGE')
    await assertTold('floods', 'OUTPUT_TOO_LARGE')
    await deployText(node, 'floods-long', floods, '[wasm]\noutput = "1MiB"\n')
    await assert.rejects(
      beside(() => node.get('floods-long')),
      /aborted|ECONNRESET|hang up/,
    )
  })

  test('host calls are counted, those of WASI too', async () => {
    const calls = commandText(
      '(loop $more (drop (call $random (i32.const 64) (i32.const 1))) (br $more))',
    )
    await deployText(node, 'calls', calls, '[wasm]\nhost_calls = 10000\n')
    assertBreach(await beside(() => node.get('calls')), 'HOST_CALLS')
    await assertTold('calls', 'HOST_CALLS')
  })

  test('what is open is counted', async () => {
    const opens = commandText(
      `(local $count i32)
      (loop $more
        (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 2)
              (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 1000)))
          (then (local.set $count (i32.add (local.get $count) (i32.const 1))) (br $more))))
      (if (i32.gt_u (local.get $count) (i32.const 64)) (then (unreachable)))
      (if (i32.eqz (local.get $count)) (then (unreachable)))
      (call $say)`,
      '(data (i32.const 512) ".")',
    )
    await deployText(node, 'opens', opens, '[limits]\nfiles = 64\n')
    assert.equal((await beside(() => node.get('opens'))).body, 'ok\n')
  })

  test('a flood of log is bounded, and says what is missing', async () => {
    const chatty = commandText(
      `(local $left i32) (local.set $left (i32.const 20000))
      (loop $more
        (call $put (i32.const 2) (i32.const 8192) (i32.const 1000))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left)))
      (call $say)`,
      '(data (i32.const 9191) "\\n")',
    )
    await deployText(node, 'chatty', chatty, '[limits]\nlog = "64MiB"\n')
    assert.equal((await beside(() => node.get('chatty'))).body, 'ok\n')
    const { id } = await liveInstance(node, 'chatty')
    await node.until('what is missing', async () =>
      (await node.ok('logs', 'chatty', '--json')).includes('were dropped') ? true : undefined,
    )
    const { size } = await stat(path.join(node.data, 'modules', id, 'out/log'))
    assert.ok(size < 8 * MIB, `${size} bytes of log`)
  })

  test('limits.cpu holds for all requests of an instance', async () => {
    const works = commandText(`(local $turns i32) (local.set $turns (i32.const 30000000))
      (loop $again (local.set $turns (i32.sub (local.get $turns) (i32.const 1))) (br_if $again (local.get $turns)))
      (call $say)`)
    await deployText(node, 'works', works, '[limits]\ncpu = 0.1\n[scale]\nmax = 1\n')
    await node.get('works')
    const first = (await liveInstance(node, 'works')).usage?.cpuNs ?? 0
    const beganMs = performance.now()
    for (let round = 0; round < 10; round++) assert.equal((await node.get('works')).body, 'ok\n')
    const tookMs = performance.now() - beganMs
    const usedMs = ((await liveInstance(node, 'works')).usage?.cpuNs ?? 0) / 1e6 - first / 1e6
    assert.ok(usedMs > 0, 'it used nothing')
    // A tenth, and what may be used at once; twice that for what the request that is over used.
    assert.ok(usedMs < tookMs * 0.2 + 50, `${usedMs} ms of ${tookMs} ms`)
  })

  test('a thread that computes without end makes room for others', async () => {
    await deployText(node, 'hogs', commandText(SPIN), '[wasm]\ncpu_time = "2s"\n')
    const { task } = await executorProcesses(node)
    const others = await niceThreads(task)
    const asked = node.get('hogs')
    const hog = await node.until('a nicer thread', async () =>
      (await niceThreads(task)).find((thread) => !others.includes(thread)),
    )
    assertBreach(await asked, 'CPU_TIME')
    await node.until('its end', async () =>
      (await niceThreads(task)).includes(hog) ? undefined : true,
    )
  })
})

/** Threads of a process that let others go first. */
async function niceThreads(pid: number): Promise<readonly string[]> {
  const threads = await readdir(`/proc/${pid}/task`)
  const nice = await Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1').catch(() => '')
      // After the name, which may hold anything: state is the third field, niceness the nineteenth.
      return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]) > 0
    }),
  )
  return threads.filter((_, index) => nice[index])
}
