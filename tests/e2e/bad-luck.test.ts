/** Clients, instances and networks that misbehave: nothing hangs, nothing grows without bound, and the reason is told. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { ROOT, TestNode } from './harness.ts'

const MIB = 1024 * 1024

/** One server for all kinds of bad luck, by path. */
const SERVER = `
import { createServer } from 'node:http'
import { createHash } from 'node:crypto'
let aborted = 0
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://x')
  if (pathname === '/aborted') return response.end(String(aborted))
  if (pathname === '/die') return process.exit(7)
  if (pathname === '/die-midway') {
    response.writeHead(200, { 'content-length': 1000 })
    return response.write('half', () => setTimeout(() => process.exit(7), 50))
  }
  if (pathname === '/stream') {
    response.on('close', () => { if (!response.writableFinished) aborted++ })
    const timer = setInterval(() => response.write('tick\\n'), 20)
    response.on('close', () => clearInterval(timer))
    return
  }
  if (pathname === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\\n\\n')
    return request.socket.on('data', () => {}), globalThis.say = () => response.write('data: late\\n\\n')
  }
  if (pathname === '/say') return globalThis.say(), response.end('said')
  if (pathname === '/upload') {
    let bytes = 0
    request.on('data', (chunk) => {
      bytes += chunk.length
      // Slower than any client.
      request.pause()
      setTimeout(() => request.resume(), 1)
    })
    return request.on('end', () => response.end(String(bytes)))
  }
  response.end('hello')
})
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
  socket.pipe(socket)
})
server.listen(process.env.PORT)
`

function manifest(name: string, more = ''): string {
  return `name = "${name}"\nruntime = "node@26"\ncommand = ["a.mjs"]\n[http]\nport = 8000\n${more}`
}

suite('bad luck', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  async function deploy(name: string, more = '', program = SERVER): Promise<string> {
    return await node.deployFiles({ 'quiver.toml': manifest(name, more), 'a.mjs': program })
  }

  /** A connection to the proxy, for what no HTTP client would do. */
  async function dial(): Promise<Socket> {
    const socket = connect(node.httpPort, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  async function stateOf(task: string): Promise<string> {
    return (await node.describe(task)).state
  }

  test('many clients that send their heads drop by drop keep nobody else from being served', async () => {
    await deploy('loris')
    const slow = await Promise.all(Array.from({ length: 200 }, dial))
    for (const socket of slow) socket.write('GET / HTTP/1.1\r\nHost: loris.localhost\r\nX-A: ')
    assert.equal((await node.get('loris')).body, 'hello')
    for (const socket of slow) socket.write('b')
    assert.equal((await node.get('loris')).start, 'warm')
    for (const socket of slow) socket.destroy()
  })

  test('a large upload to a slow instance waits in the client, not in the proxy', async () => {
    await deploy('slow', '[limits]\nmemory = "128MiB"\n')
    await node.get('slow')
    const bytes = 256 * MIB
    const outgoing = request({
      host: '127.0.0.1',
      port: node.httpPort,
      path: '/upload',
      method: 'POST',
      agent: false,
      headers: { host: 'slow.localhost', 'content-length': bytes },
    })
    const answered = once(outgoing, 'response')
    const chunk = Buffer.alloc(MIB)
    const proxy = await node.pid('proxy')
    const atFirst = residentBytes(proxy)
    let most = 0
    for (let sent = 0; sent < bytes; sent += chunk.length) {
      if (!outgoing.write(chunk)) await once(outgoing, 'drain')
      most = Math.max(most, residentBytes(proxy))
    }
    outgoing.end()
    const [answer] = await answered
    assert.equal(await text(answer), String(bytes))
    // V8 looks after buffers outside its heap only once there are 64 MiB of them: that much garbage is not a queue.
    assert.ok(most - atFirst < 112 * MIB, `the proxy grew by ${(most - atFirst) / MIB} MiB`)
  })

  test('a client that goes away is seen by the instance', async () => {
    await deploy('left')
    const socket = await dial()
    socket.write('GET /stream HTTP/1.1\r\nHost: left.localhost\r\n\r\n')
    await once(socket, 'data')
    socket.destroy()
    await node.until('the abort', async () => {
      const { body } = await node.get('left', '/aborted')
      return body === '1' ? body : undefined
    })
  })

  test('an instance that dies before it answers is a 502 that says how', async () => {
    await deploy('dies')
    await node.get('dies')
    const answer = await node.get('dies', '/die')
    assert.equal(answer.status, 502)
    const { reason, message, hint } = JSON.parse(answer.body)
    assert.equal(reason, 'INSTANCE_DIED')
    assert.match(message, /\(7\)/)
    assert.ok(hint)
    assert.equal((await node.get('dies')).body, 'hello')
  })

  test('an instance that dies in the middle of an answer cuts it, and nothing hangs', async () => {
    await deploy('midway')
    await assert.rejects(node.get('midway', '/die-midway'), /aborted|ECONNRESET|socket hang up/)
    assert.equal((await node.get('midway')).body, 'hello')
  })

  test('what is open keeps an instance from being paused, however silent it is', async () => {
    await deploy('open', '[scale]\npause_after = "100ms"\nstop_after = "300ms"\n')
    const socket = await dial()
    socket.write(
      'GET / HTTP/1.1\r\nHost: open.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    await once(socket, 'data')
    const [instance] = (await node.describe('open')).instances
    // Ten times longer than it takes to stop an idle one.
    const idle = await awaitIdleNeighbour()
    assert.ok(idle)
    socket.write('ping')
    const [echo] = await once(socket, 'data')
    assert.equal(String(echo), 'ping')
    assert.equal((await node.describe('open')).instances[0]?.id, instance?.id)
    assert.equal(await stateOf('open'), 'running')
    socket.end()
    await node.until('idle again', async () =>
      (await stateOf('open')) === 'idle' ? true : undefined,
    )
  })

  test('so do events that the server sends', async () => {
    await deploy('events', '[scale]\npause_after = "100ms"\nstop_after = "300ms"\n')
    const socket = await dial()
    socket.write('GET /events HTTP/1.1\r\nHost: events.localhost\r\n\r\n')
    let received = ''
    socket.on('data', (chunk) => (received += String(chunk)))
    await node.until('the first event', async () => (received.includes('first') ? true : undefined))
    assert.ok(await awaitIdleNeighbour())
    assert.equal((await node.get('events', '/say')).body, 'said')
    await node.until('the late event', async () => (received.includes('late') ? true : undefined))
    socket.destroy()
  })

  /** Another task of the same kind comes and goes: by then, an idle one would be gone. */
  async function awaitIdleNeighbour(): Promise<true> {
    await deploy('clock', '[scale]\npause_after = "200ms"\nstop_after = "900ms"\n')
    await node.get('clock')
    return await node.until('the neighbour to stop', async () =>
      (await stateOf('clock')) === 'idle' ? true : undefined,
    )
  }

  test('what ignores the stop signal is killed after stop_timeout', async () => {
    const stubborn = `process.on('SIGTERM', () => console.error('no'))\n${SERVER}`
    await deploy('stubborn', '[limits]\nstop_timeout = "300ms"\n', stubborn)
    await node.get('stubborn')
    await node.ok('stop', 'stubborn')
    const [instance] = (await node.describe('stubborn')).instances
    assert.equal(instance?.exit?.signal, 9)
    assert.equal(instance?.exit?.reason, 'STOPPED')
    const { stderr } = await node.quiver('logs', 'stubborn')
    assert.match(stderr, /^.*no$/m)
  })

  test('a crash loop backs off and says so, and a mended deployment ends it', async () => {
    const folder = await deploy('looping', '', 'process.exit(1)')
    assert.equal((await node.get('looping')).status, 502)
    const refused = await node.until('a refusal', async () => {
      const answer = await node.get('looping')
      return Number(answer.headers['retry-after']) >= 2 ? answer : undefined
    })
    assert.equal(JSON.parse(refused.body).reason, 'EXITED_EARLY')
    const { state, backOffUntilMs } = await node.describe('looping')
    assert.equal(state, 'failing')
    assert.ok(backOffUntilMs !== null)
    assert.match(await node.ok('events', '--task', 'looping'), /times in a row; next try in/)
    await writeFile(path.join(folder, 'a.mjs'), SERVER)
    await node.ok('deploy', folder)
    assert.equal((await node.get('looping')).body, 'hello')
    assert.equal(await stateOf('looping'), 'running')
  })

  test('logs are followed through a flood, and across a restart', async () => {
    const talker = `console.log('born ' + process.env.QUIVER_INSTANCE)
${SERVER.replace("if (pathname === '/die')", "if (pathname === '/flood') { for (let i = 0; i < 200000; i++) console.log('line ' + i); return response.end('done') }\n  if (pathname === '/die')")}`
    await deploy('talker', '[limits]\nlog = "1MiB"\n', talker)
    await node.get('talker')
    const child = spawn(path.join(ROOT, 'bin/quiver'), ['logs', '-f', 'talker'], {
      env: node.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let seen = ''
    child.stdout.on('data', (chunk) => (seen = (seen + String(chunk)).slice(-MIB)))
    const says = async (what: RegExp) =>
      node.until(String(what), async () => (what.test(seen) ? true : undefined))
    await says(/born talker-/)
    assert.equal((await node.get('talker', '/flood')).body, 'done')
    await says(/line 199999/)
    seen = ''
    await node.ok('restart', 'talker')
    await says(/born talker-/)
    child.kill('SIGINT')
    await once(child, 'exit')
  })
})

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024
}
