import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net, { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'

import { QuiverError } from '../core/error.ts'

import { accept, Callers, refuse } from './callers.ts'
import { REQUEST_BYTES_MAX } from './request.ts'

const LINE = 'secret api.example.com 443'

interface Opened {
  readonly callers: Callers
  readonly problems: readonly string[]
  /** A client that is connected. */
  readonly dial: () => Promise<Socket>
}

/** On a socket of its own, whose descriptor it is given as the supervisor gives it; begun. */
async function open(
  t: TestContext,
  onRequest: (line: string, client: Socket) => void = () => {},
): Promise<Opened> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-callers-'))
  const file = path.join(folder, 'executors.sock')
  const problems: string[] = []
  const sockets = new Set<Socket>()
  const callers = new Callers({
    listener: bind(file),
    onRequest: (line, client) => {
      sockets.add(client)
      onRequest(line.toString(), client)
    },
    onProblem: (message) => void problems.push(message),
  })
  t.after(async () => {
    callers[Symbol.dispose]()
    for (const socket of sockets) socket.destroy()
    await rm(folder, { recursive: true })
  })
  callers.start()
  // Again is nothing new.
  callers.start()
  const dial = async (): Promise<Socket> => {
    const socket = connect({ path: file, allowHalfOpen: true })
    sockets.add(socket)
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }
  return { callers, problems, dial }
}

/** Its server closes the descriptor; as garbage, it would close it once more. */
const kept = new Set<object>()

/** Bound, and nobody accepts: the way that node:cluster takes. @returns the descriptor */
function bind(file: string): number {
  const make: unknown = Reflect.get(net, '_createServerHandle')
  assert(typeof make === 'function')
  const handle: unknown = make(file, -1, -1)
  assert(typeof handle === 'object' && handle !== null && 'fd' in handle)
  kept.add(handle)
  return Number(handle.fd)
}

test('the first line is the request, in however many pieces, and what follows is for the callee', async (t) => {
  const asked = Promise.withResolvers<readonly [line: string, client: Socket]>()
  const { dial } = await open(t, (line, client) => asked.resolve([line, client]))
  const client = await dial()
  client.write(LINE.slice(0, 5))
  client.write(LINE.slice(5))
  client.write('\nbehind')
  const [line, callee] = await asked.promise
  assert.equal(line, LINE)
  assert.ok(callee.isPaused())
  accept(callee)
  client.end(' it')
  assert.equal(await text(callee), 'behind it')
  const [answer] = await once(client, 'data')
  assert.equal(String(answer), 'ok\n')
})

test('a refusal is one line, and the end', async (t) => {
  const error = new QuiverError('permission_denied', 'NOT_ALLOWED', 'not\nfor you')
  const { dial } = await open(t, (_line, client) => refuse(client, error))
  const client = await dial()
  client.write(`${LINE}\nand more`)
  assert.equal(await text(client), 'permission_denied NOT_ALLOWED not for you\n')
})

const BROKEN: readonly (readonly [what: string, sent: string])[] = [
  ['is too long', `${'x'.repeat(REQUEST_BYTES_MAX + 1)}\n`],
  ['never ends', 'x'.repeat(REQUEST_BYTES_MAX + 1)],
]
for (const [what, sent] of BROKEN) {
  test(`a line that ${what} is nobody's request`, async (t) => {
    const { dial } = await open(t, () => assert.fail('it was taken for a request'))
    const client = await dial()
    client.write(sent)
    assert.equal(await text(client).catch(() => ''), '')
  })
}

test('a client that ends without a line is let go', async (t) => {
  const { dial } = await open(t, () => assert.fail('it was taken for a request'))
  const client = await dial()
  client.end('secret')
  assert.equal(await text(client).catch(() => ''), '')
})

test('of those that send nothing, the oldest makes room', async (t) => {
  const { problems, dial } = await open(t)
  const clients: Socket[] = []
  for (let count = 0; count < 257; count++) clients.push(await dial())
  const [oldest] = clients
  assert.equal(await text(oldest ?? assert.fail()), '')
  assert.deepEqual(problems, ['256 executors have sent nothing; the oldest is closed'])
})

test('after its end, nothing is taken any more', async (t) => {
  const { callers, dial } = await open(t, (_line, client) => accept(client))
  const silent = await dial()
  // When a later one has its answer, the earlier one was accepted.
  const later = await dial()
  later.write(`${LINE}\n`)
  await once(later, 'data')
  const closed = once(silent, 'close')
  callers[Symbol.dispose]()
  callers.start()
  silent.resume()
  silent.end()
  await closed
  await assert.rejects(dial())
})
