/**
 * What a thread does before it has a module: it answers a request of its own, with a module of its own, once through all that a
 * request goes through. What the engine and Node.js load and compile when it is first used is there then: it is a third of
 * the way to a task's first answer otherwise.
 */

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'

import { Connection } from '../http/connection.ts'
import { NO_OUTSIDE, type ModulePlan } from '../protocol.ts'
import { FunctionRunner } from '../run/function.ts'
import type { Guest } from '../run/runner.ts'

/** (module (import "quiver" "buffer_output" (func (result i32))) (memory (export "memory") 1) (func (export "handle") (drop (call 0)))) */
const MODULE = Buffer.from(
  'AGFzbQEAAAABCAJgAAF/YAAAAhgBBnF1aXZlcg1idWZmZXJfb3V0cHV0AAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGaGFuZGxlAAEKBwEFABAAGgs=',
  'base64',
)
const ENTRY = 'handle'
const HOST = '127.0.0.1'
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'

const PLAN: ModulePlan = {
  task: '',
  args: [],
  argv0: '',
  env: {},
  stdout: 'body',
  entry: ENTRY,
  isReused: false,
  outside: NO_OUTSIDE,
  script: null,
  limits: {
    memoryBytes: 65_536,
    cpuTimeMs: 1000,
    cpuMillis: null,
    requestTimeoutMs: 1000,
    outputBytes: 65_536,
    inputBytes: 65_536,
    files: 1,
    hostCalls: 1000,
  },
}

/** Never rejects: whatever is wrong, what is served afterwards says it. @returns whether the guest answered */
export async function rehearse(): Promise<boolean> {
  const runner = new FunctionRunner(guest(), ENTRY)
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new Connection(socket, (exchange) => {
      void runner.answer(exchange)
      connection.close()
    })
  })
  try {
    server.listen({ host: HOST, port: 0, reusePort: true })
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') return false
    const client = connect(address.port, HOST)
    client.write(REQUEST)
    return (await text(client)).startsWith('HTTP/1.1 200 ')
  } catch {
    return false
  } finally {
    server.close()
  }
}

function guest(): Guest {
  return {
    module: new WebAssembly.Module(MODULE),
    component: null,
    memory: null,
    kind: { kind: 'function', entry: ENTRY, isInitialized: false },
    exports: [{ name: ENTRY, kind: 'function', signature: { params: [], results: [] } }],
    links: [],
    memories: 1,
    files: null,
    plan: PLAN,
    folders: [],
    log: () => {},
    budget: null,
  }
}
