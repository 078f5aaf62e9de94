import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { suite, test, type TestContext } from 'node:test'

import { StreamOpener } from './streams.ts'

const SERVER = path.join(import.meta.dirname, '../../tests/native/stream-server.ts')

/** A process that serves the stream protocol, and has a TCP server at `port`. */
async function openInstance(t: TestContext) {
  const folder = await mkdtemp('/tmp/quiver-streams-')
  t.after(() => rm(folder, { recursive: true }))
  const address = path.join(folder, 'i.p')
  const child = spawn(process.execPath, [SERVER, address], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => end(child))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const { value: port } = await lines.next()
  return { address, child, lines, port: Number(port) }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function ask(socket: Socket, question: string): Promise<string> {
  socket.write(question)
  const answer = await text(socket)
  if (!socket.closed) await once(socket.destroy(), 'close')
  return answer
}

/** A port that nothing listens on: it was given to us, and we gave it back. */
async function findClosedPort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  server.close()
  await once(server, 'close')
  return address.port
}

const countDescriptors = (): number => readdirSync('/proc/self/fd').length

suite('StreamOpener', () => {
  test('opens a stream that works like any connection', async (t) => {
    const { address, port } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    const socket = await opener.open(port, t.signal)
    assert.equal(socket.remotePort, port)
    assert.equal(await ask(socket, 'hello'), 'HELLO')
  })

  test('opens 500 at once, and leaves no descriptor behind', async (t) => {
    const { address, port } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    await ask(await opener.open(port, t.signal), 'warm up')
    const before = countDescriptors()
    const answers = await Promise.all(
      Array.from({ length: 500 }, async (_, index) =>
        ask(await opener.open(port, t.signal), `n${index}`),
      ),
    )
    assert.deepEqual(
      answers,
      Array.from({ length: 500 }, (_, index) => `N${index}`),
    )
    assert.equal(countDescriptors(), before)
  })

  test('names the refusal of a port where nothing listens', async (t) => {
    const { address } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    await assert.rejects(opener.open(await findClosedPort(), t.signal), {
      code: 'unavailable',
      reason: 'CONNECTION_REFUSED',
    })
  })

  const misbehaviours: readonly [what: string, port: number, reason: string][] = [
    ['success without a descriptor', 1, 'STREAM_LIMIT'],
    ['two descriptors instead of one', 2, 'STREAM_FAILED'],
    ['a failure with a descriptor, and a second answer', 3, 'STREAM_LIMIT'],
    ['a file instead of a connection', 4, 'STREAM_FAILED'],
  ]
  for (const [what, port, reason] of misbehaviours) {
    test(`survives ${what}`, async (t) => {
      const instance = await openInstance(t)
      await using opener = StreamOpener.connect(instance.address)
      const before = countDescriptors()
      await assert.rejects(opener.open(port, t.signal), { reason })
      assert.equal(await ask(await opener.open(instance.port, t.signal), 'on'), 'ON')
      assert.equal(countDescriptors(), before)
    })
  }

  test('an answer of another shape ends the connection', async (t) => {
    const { address } = await openInstance(t)
    const before = countDescriptors()
    await using opener = StreamOpener.connect(address)
    await assert.rejects(opener.open(5, t.signal), { reason: 'INSTANCE_GONE' })
    assert.equal(opener.isOpen, false)
    assert.equal(countDescriptors(), before)
  })

  test('an open that was given up closes the stream that arrives later', async (t) => {
    const { address, child, lines, port } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    const before = countDescriptors()
    child.kill('SIGSTOP')
    const giveUp = new AbortController()
    const openings = Array.from({ length: 10 }, () => opener.open(port, giveUp.signal))
    giveUp.abort(new Error('enough'))
    await Promise.all(openings.map((opening) => assert.rejects(opening, /enough/)))
    child.kill('SIGCONT')
    const answers = await Promise.all(openings.map(() => lines.next()))
    assert.deepEqual([...new Set(answers.map(({ value }) => value))], ['answered'])
    assert.equal(await ask(await opener.open(port, t.signal), 'later'), 'LATER')
    assert.equal(countDescriptors(), before)
  })

  test('a frozen instance takes a bounded number of opens, and all are answered once it thaws', async (t) => {
    const { address, child, port } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    child.kill('SIGSTOP')
    const openings = Array.from({ length: 1024 }, () => opener.open(port, t.signal))
    await assert.rejects(opener.open(port, t.signal), {
      code: 'resource_exhausted',
      reason: 'STREAM_LIMIT',
    })
    child.kill('SIGCONT')
    const sockets = await Promise.all(openings)
    for (const socket of sockets) socket.destroy()
    assert.equal(sockets.length, 1024)
  })

  test('when the instance dies, everything pending is rejected and later opens too', async (t) => {
    const { address, child, port } = await openInstance(t)
    await using opener = StreamOpener.connect(address)
    child.kill('SIGSTOP')
    const openings = Array.from({ length: 3 }, () => opener.open(port, t.signal))
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    const expected = { code: 'unavailable', reason: 'INSTANCE_GONE' }
    await Promise.all(openings.map((opening) => assert.rejects(opening, expected)))
    await opener.ended
    assert.equal(opener.isOpen, false)
    await assert.rejects(opener.open(port, t.signal), { reason: 'INSTANCE_GONE' })
    await exited
    assert.throws(() => StreamOpener.connect(address), { reason: 'INSTANCE_GONE' })
  })

  test('disposing rejects what is pending and closes the connection', async (t) => {
    const { address, child, port } = await openInstance(t)
    const before = countDescriptors()
    const opener = StreamOpener.connect(address)
    child.kill('SIGSTOP')
    const opening = opener.open(port, t.signal)
    await opener[Symbol.asyncDispose]()
    await assert.rejects(opening, { code: 'canceled', reason: 'STREAMS_CLOSED' })
    assert.equal(countDescriptors(), before)
  })

  test('a full backlog is said, not waited for', async (t) => {
    const { address, child } = await openInstance(t)
    child.kill('SIGSTOP')
    const openers: StreamOpener[] = []
    t.after(() => Promise.all(openers.map((opener) => opener[Symbol.asyncDispose]())))
    assert.throws(
      () => {
        for (;;) openers.push(StreamOpener.connect(address))
      },
      { code: 'unavailable', reason: 'INSTANCE_BUSY' },
    )
  })

  test('an idle opener does not keep the process alive', async (t) => {
    const { address } = await openInstance(t)
    const source = `
      const { StreamOpener } = await import(process.argv[1])
      globalThis.opener = StreamOpener.connect(process.argv[2])`
    const module = path.join(import.meta.dirname, 'streams.ts')
    const child = spawn(process.execPath, ['--input-type=module', '-e', source, module, address], {
      stdio: 'inherit',
    })
    const [status] = await once(child, 'exit')
    assert.equal(status, 0)
  })
})
