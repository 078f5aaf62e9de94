/**
 * Control is killed at every step: while it starts, pauses, resumes, stops, deploys, scales and removes. Moments are
 * random, from a seed that is told; a number of rounds with the same seed does the same things at the same times, as
 * far as the machine does.
 */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { parseAddress } from '../../src/client/address.ts'
import { openClient, type Client } from '../../src/client/client.ts'
import type { Digest } from '../../src/core/digest.ts'

import { TestNode } from './harness.ts'
import { isLive, killProcess, strays } from './wreck.ts'

const ROUNDS = 48
const SEED = Number(process.env['QUIVER_TEST_SEED'] ?? Math.floor(Math.random() * 1e9))
const TASK = 'target'
const DEADLINE_MS = 30_000

const MANIFEST = `
name = "${TASK}"
runtime = "node@26"
command = ["server.mjs"]
[http]
port = 8000
[scale]
max = 1
pause_after = "60ms"
stop_after = "180ms"
`

const SERVER = `
import { createServer } from 'node:http'
createServer((request, response) => response.end(process.env.QUIVER_INSTANCE)).listen(process.env.PORT)
`

/** What control does when it is killed, and how long that takes at most on an idle machine. */
interface Action {
  readonly name: string
  readonly ms: number
  readonly begin: (context: Context) => Promise<unknown>
}

type Call = Client['call']

interface Context {
  readonly node: TestNode
  readonly call: Call
  readonly image: Digest
  readonly round: number
}

const named = { params: { name: TASK } } as const
const deadline = () => AbortSignal.timeout(DEADLINE_MS)

const ACTIONS: readonly Action[] = [
  { name: 'a request', ms: 120, begin: ({ node }) => node.get(TASK) },
  {
    name: 'idling',
    ms: 350,
    begin: async ({ node }) => {
      // Through running, paused and stopped.
      await node.get(TASK)
    },
  },
  {
    name: 'a request after a pause',
    ms: 60,
    begin: async ({ node }) => {
      await node.get(TASK)
      await delay(90)
      await node.get(TASK)
    },
  },
  {
    name: 'a deployment',
    ms: 150,
    begin: async ({ node, call, image, round }) => {
      await node.get(TASK)
      const overrides = { env: { ROUND: String(round) } }
      await call('deploy', { body: { image, overrides } }, deadline())
    },
  },
  {
    name: 'scaling',
    ms: 150,
    begin: async ({ call }) => {
      await call('scale', { ...named, body: { instances: 2 } }, deadline())
      await call('scale', { ...named, body: { instances: null } }, deadline())
    },
  },
  {
    name: 'a stop',
    ms: 60,
    begin: async ({ node, call }) => {
      await node.get(TASK)
      await call('stopTask', named, deadline())
    },
  },
  { name: 'a start', ms: 120, begin: ({ call }) => call('startTask', named, deadline()) },
  {
    name: 'a restart',
    ms: 150,
    begin: async ({ node, call }) => {
      await node.get(TASK)
      await call('restartTask', named, deadline())
    },
  },
  {
    name: 'a removal',
    ms: 80,
    begin: async ({ node, call }) => {
      await node.get(TASK)
      await call('removeTask', named, deadline())
    },
  },
]

suite('control is killed at any moment', () => {
  let node: TestNode
  let image: Digest
  before(async () => {
    node = await TestNode.start()
    await node.deployFiles({ 'quiver.toml': MANIFEST, 'server.mjs': SERVER })
    ;({ image } = await call('getTask', named, deadline()))
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  test(`${ROUNDS} times: the task answers, one instance lives, nothing is left`, async (t) => {
    t.diagnostic(`QUIVER_TEST_SEED=${SEED}`)
    const random = buildRandom(SEED)
    for (let round = 0; round < ROUNDS; round++) {
      const action = ACTIONS[round % ACTIONS.length]
      if (action === undefined) continue
      const killAfterMs = Math.floor(random() * action.ms)
      await t.test(`round ${round}: ${action.name}, ${killAfterMs} ms`, async () => {
        await prepare()
        // Its answer may be lost with control; what it has begun must come to a good end.
        const begun = action.begin({ node, call, image, round }).catch(() => {})
        await delay(killAfterMs)
        await killProcess(node, 'control')
        // Not after the back-off that the supervisor has for a process that always dies.
        process.kill(await node.pid('supervise'), 'SIGHUP')
        await begun
        await check()
      })
    }
  })

  /** On a connection of its own: a kept one may be to the control that was killed. */
  const call: Call = async (id, input, signal) => {
    using client = openClient({ address: parseAddress(`${node.run}/api.sock`), token: undefined })
    return await client.call(id, input, signal)
  }

  /** Whatever the last round left: the task is there and on. */
  async function prepare(): Promise<void> {
    const tasks = await call('listTasks', {}, deadline())
    const task = tasks.find(({ name }) => name === TASK)
    if (task === undefined) await call('deploy', { body: { image } }, deadline())
    else if (task.desired === 'stopped') await call('startTask', named, deadline())
    else if (task.instancesWanted !== null)
      await call('scale', { ...named, body: { instances: null } }, deadline())
  }

  async function check(): Promise<void> {
    await prepare()
    const answer = await node.get(TASK)
    assert.equal(answer.status, 200, answer.body)
    // Two live for a moment while one takes over from the other, or after it was scaled.
    const single = await node.until('one instance', async () => {
      const again = await node.get(TASK)
      assert.equal(again.status, 200, again.body)
      const { instances } = await call('getTask', named, deadline())
      return instances.filter(isLive).length === 1 ? again.status : undefined
    })
    assert.equal(single, 200)
    await node.until('the end of what is left', async () => {
      const left = await strays(node)
      return left.length === 0 ? true : undefined
    })
  }
})

/** Mulberry32: small, and the same everywhere. */
function buildRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
