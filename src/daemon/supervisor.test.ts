import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test, type TestContext } from 'node:test'

import type { SupervisedProcess, Supervision } from './supervision.ts'
import { startSupervisor, type Supervisor, type SupervisorOptions } from './supervisor.ts'

const AINIT = path.join(import.meta.dirname, '../../native/build/ainit')

/** Answers every connection on its first socket with its name. */
const SERVER = `require('node:net').createServer((socket) => socket.end(process.env.WHO)).listen({ fd: 3 })`

const server: SupervisedProcess = {
  name: 'control',
  args: [process.execPath, '-e', SERVER],
  env: { WHO: 'control of this test' },
  sockets: ['http'],
}

async function optionsFor(t: TestContext, part: Partial<Supervision> = {}) {
  const folder = await mkdtemp('/tmp/quiver-up-')
  t.after(() => rm(folder, { recursive: true, force: true }))
  return {
    ainit: AINIT,
    specificationPath: path.join(folder, 'supervise'),
    mode: 'detached',
    supervision: {
      lockPath: path.join(folder, 'lock'),
      readyPath: path.join(folder, 'listen'),
      logPath: path.join(folder, 'log'),
      listen: [{ kind: 'tcp', name: 'http', address: '127.0.0.1', port: 0 }],
      processes: [server],
      ...part,
    },
  } as const satisfies SupervisorOptions
}

async function start(t: TestContext, options: SupervisorOptions): Promise<Supervisor> {
  const supervisor = await startSupervisor(options, t.signal)
  t.after(() => {
    supervisor.kill('SIGTERM')
    return supervisor.exited
  })
  return supervisor
}

async function ask(supervisor: Supervisor): Promise<string> {
  const [, port] = (supervisor.addresses.get('http') ?? '').split(':')
  return text(connect(Number(port), '127.0.0.1'))
}

suite('startSupervisor()', () => {
  test('resolves when the sockets are bound: a connection waits for its server', async (t) => {
    const options = await optionsFor(t)
    const supervisor = await start(t, options)
    assert.equal(await ask(supervisor), 'control of this test')
    supervisor.kill('SIGTERM')
    assert.equal(await supervisor.exited, 0)
    assert.match(await readFile(options.supervision.logPath, 'utf8'), /control started pid=\d+/)
  })

  test('names the address that is in use', async (t) => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    t.after(() => other.close())
    const address = other.address()
    assert.ok(address !== null && typeof address === 'object')
    const listen = [
      { kind: 'tcp', name: 'http', address: '127.0.0.1', port: address.port },
    ] as const
    const where = `127.0.0.1:${address.port}`
    await assert.rejects(startSupervisor(await optionsFor(t, { listen }), t.signal), {
      code: 'failed_precondition',
      reason: 'PORT_IN_USE',
      message: `cannot listen on ${where} (http): Address already in use`,
      details: { name: 'http', address: where },
    })
  })

  test('names an address that this machine does not have', async (t) => {
    const listen = [{ kind: 'tcp', name: 'http', address: '192.0.2.1', port: 0 }] as const
    await assert.rejects(startSupervisor(await optionsFor(t, { listen }), t.signal), {
      reason: 'ADDRESS_UNAVAILABLE',
      details: { name: 'http', address: '192.0.2.1:0' },
    })
  })

  test('names the node that runs already', async (t) => {
    const options = await optionsFor(t)
    const { pid } = await start(t, options)
    await assert.rejects(startSupervisor(options, t.signal), {
      code: 'already_exists',
      reason: 'NODE_RUNNING',
      details: { pid },
    })
  })

  test('says how to get what is missing', async (t) => {
    const options = { ...(await optionsFor(t)), ainit: '/no/such/ainit' }
    await assert.rejects(startSupervisor(options, t.signal), {
      reason: 'NATIVE_MISSING',
      hint: 'Run "npm run build:native".',
    })
  })

  test('passes on what supervise itself found wrong', async (t) => {
    const readyPath = '/proc/no/such/folder'
    await assert.rejects(startSupervisor(await optionsFor(t, { readyPath }), t.signal), {
      code: 'internal',
      reason: 'SUPERVISOR_FAILED',
      message: /cannot write \/proc\/no\/such\/folder/,
    })
  })

  test('a start that is given up leaves nothing running', async (t) => {
    const options = await optionsFor(t)
    const giveUp = new AbortController()
    const starting = startSupervisor(options, giveUp.signal)
    giveUp.abort(new Error('enough'))
    await assert.rejects(starting, /enough/)
    // The lock is free again: another one starts.
    await start(t, options)
  })
})
