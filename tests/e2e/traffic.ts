/**
 * Steady load on one task of a test node, of every kind that a user would miss: requests on kept and on new connections,
 * an answer that streams, an upload, a WebSocket. It checks each byte, and says at the end what went wrong.
 */

import assert from 'node:assert/strict'
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { json, text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'

import type { TestNode } from './harness.ts'

const PAUSE_MS = 10

/** What `Traffic` talks to. Every request is one line of its log, numbered. */
export const TRAFFIC_SERVER = `
import { createServer } from 'node:http'
let count = 0
const server = createServer((request, response) => {
  if (request.url === '/stream') {
    let tick = 0
    const timer = setInterval(() => response.write('tick ' + tick++ + '\\n'), ${PAUSE_MS})
    response.on('close', () => clearInterval(timer))
    return
  }
  if (request.url === '/upload') {
    let bytes = 0
    request.on('data', (chunk) => (bytes += chunk.length))
    request.on('end', () => response.end(JSON.stringify({ bytes })))
    return
  }
  console.log('request ' + count++)
  response.end(process.env.QUIVER_INSTANCE)
})
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
  socket.on('error', () => {})
  socket.pipe(socket)
})
server.listen(process.env.PORT)
`

export interface TrafficReport {
  readonly requests: number
  /** Instances that answered. */
  readonly instances: ReadonlySet<string>
  readonly ticks: number
  readonly uploadedBytes: number
  readonly echoedBytes: number
  readonly failures: readonly string[]
}

export class Traffic {
  readonly #node: TestNode
  readonly #task: string
  readonly #ending = new AbortController()
  readonly #flows: readonly Promise<void>[]
  readonly #failures: string[] = []
  readonly #instances = new Set<string>()
  #requests = 0
  #ticks = 0
  #uploadedBytes = 0
  #echoedBytes = 0

  constructor(node: TestNode, task: string) {
    this.#node = node
    this.#task = task
    const kept = new Agent({ keepAlive: true, maxSockets: 1 })
    this.#flows = [
      this.#guard('kept connection', () => this.#ask(kept)).finally(() => kept.destroy()),
      this.#guard('new connections', () => this.#ask(false)),
      this.#guard('stream', () => this.#stream()),
      this.#guard('upload', () => this.#upload()),
      this.#guard('websocket', () => this.#echo()),
    ]
  }

  /** Resolves when each kind has carried something since now. */
  async flow(): Promise<void> {
    const [requests, ticks, uploaded, echoed] = this.#counts()
    await this.#node.until('traffic', async () => {
      const now = this.#counts()
      const before = [requests + 10, ticks, uploaded, echoed]
      const isFlowing = now.every((count, index) => count > (before[index] ?? 0))
      return isFlowing || this.#failures.length > 0 ? true : undefined
    })
  }

  async stop(): Promise<TrafficReport> {
    this.#ending.abort()
    await Promise.all(this.#flows)
    return {
      requests: this.#requests,
      instances: this.#instances,
      ticks: this.#ticks,
      uploadedBytes: this.#uploadedBytes,
      echoedBytes: this.#echoedBytes,
      failures: this.#failures,
    }
  }

  #counts(): readonly [number, number, number, number] {
    return [this.#requests, this.#ticks, this.#uploadedBytes, this.#echoedBytes]
  }

  get #isEnding(): boolean {
    return this.#ending.signal.aborted
  }

  async #guard(name: string, flow: () => Promise<void>): Promise<void> {
    try {
      await flow()
    } catch (error) {
      this.#failures.push(`${name}: ${String(error)}`)
    }
  }

  #open(path: string, options: object): ClientRequest {
    const host = `${this.#task}.localhost`
    const target = { host: '127.0.0.1', port: this.#node.httpPort, path }
    return request({ ...target, ...options, headers: { host, ...headersOf(options) } })
  }

  async #ask(agent: Agent | false): Promise<void> {
    while (!this.#isEnding) {
      const outgoing = this.#open('/', { agent })
      outgoing.end()
      const answer = await answerTo(outgoing)
      const body = await text(answer)
      assert.equal(answer.statusCode, 200, body)
      this.#instances.add(body)
      this.#requests++
      await delay(PAUSE_MS)
    }
  }

  async #stream(): Promise<void> {
    const outgoing = this.#open('/stream', { agent: false })
    outgoing.end()
    const answer = await answerTo(outgoing)
    assert.equal(answer.statusCode, 200)
    let rest = ''
    for await (const chunk of answer.setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) assert.equal(line, `tick ${this.#ticks++}`)
      if (this.#isEnding) return void outgoing.destroy()
    }
    throw new Error('the stream was cut')
  }

  async #upload(): Promise<void> {
    const outgoing = this.#open('/upload', { agent: false, method: 'POST' })
    const answered = answerTo(outgoing)
    answered.catch(() => {})
    while (!this.#isEnding && !outgoing.destroyed) {
      outgoing.write(Buffer.alloc(1000))
      this.#uploadedBytes += 1000
      await delay(PAUSE_MS)
    }
    outgoing.end()
    assert.deepEqual(await json(await answered), { bytes: this.#uploadedBytes })
  }

  async #echo(): Promise<void> {
    const headers = { connection: 'Upgrade', upgrade: 'websocket' }
    const outgoing = this.#open('/', { agent: false, headers })
    outgoing.end()
    const { promise: upgraded, resolve, reject } = Promise.withResolvers<Duplex>()
    outgoing.once('upgrade', (_answer, stream) => resolve(stream))
    outgoing.once('response', () => reject(new Error('no upgrade')))
    outgoing.once('error', reject)
    const socket = await upgraded
    const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]()
    while (!this.#isEnding) {
      const message = `message ${this.#echoedBytes}`
      socket.write(message)
      let heard = ''
      while (heard.length < message.length) {
        const { value, done } = await chunks.next()
        if (done === true) throw new Error('the connection was cut')
        heard += String(value)
      }
      assert.equal(heard, message)
      this.#echoedBytes += heard.length
      await delay(PAUSE_MS)
    }
    socket.destroy()
  }
}

function headersOf(options: object): object {
  return 'headers' in options && typeof options.headers === 'object' ? { ...options.headers } : {}
}

async function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  outgoing.once('response', resolve)
  outgoing.on('error', reject)
  return await promise
}
