import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  type Bytes,
  coreModule,
  functionBody,
  functionType,
  I32,
  leb,
  section,
  text,
  vector,
} from '../../../tests/fixtures/wasm.ts'
import { Exchange } from '../http/exchange.ts'
import { RequestBody } from '../http/request-body.ts'
import { RequestHead } from '../http/request-head.ts'
import { judgeModule } from '../inspect.ts'
import { NO_OUTSIDE, type ModulePlan } from '../protocol.ts'

import { createRunner } from './create.ts'
import { explain } from './failure.ts'

const PLAN: ModulePlan = {
  task: 'up',
  args: [],
  argv0: 'up',
  env: {},
  stdout: 'cgi',
  entry: null,
  isReused: false,
  script: null,
  outside: NO_OUTSIDE,
  limits: {
    memoryBytes: 1e6,
    cpuTimeMs: 1000,
    cpuMillis: null,
    requestTimeoutMs: 1000,
    outputBytes: 1000,
    inputBytes: 1000,
    files: 10,
    hostCalls: 1000,
  },
}
const I32_CONST = 0x41
const CALL = 0x10
const DROP = 0x1a

/** A module whose `handle` is these instructions; function 0 is `buffer_create`, 1 is `buffer_set_status`, 2 `buffer_output`. */
function moduleOf(code: Bytes): Uint8Array<ArrayBuffer> {
  const imported = [
    ['buffer_create', 0],
    ['buffer_set_status', 0],
    ['buffer_output', 1],
  ] as const
  return coreModule(
    section(1, vector(functionType([I32, I32], [I32]), functionType([], [I32]))),
    section(
      2,
      vector(...imported.map(([name, type]) => [...text('quiver'), ...text(name), 0, type])),
    ),
    section(3, vector([1])),
    section(5, vector([0, 1])),
    section(7, vector([...text('handle'), 0, 3], [...text('memory'), 2, 0])),
    section(10, vector(functionBody(code))),
  )
}

/** Returns what is sent. */
async function answer(code: Bytes): Promise<string> {
  const bytes = moduleOf(code)
  const { facts, kind, links } = judgeModule(bytes)
  const exports = facts.format === 'core' ? facts.exports : []
  const module = new WebAssembly.Module(bytes)
  const runner = createRunner({
    module,
    memory: null,
    component: null,
    kind,
    exports,
    links,
    plan: PLAN,
    budget: null,
    folders: [],
    files: null,
    memories: 1,
    log: () => {},
  })
  let sent = ''
  const sink = {
    write(piece: Uint8Array) {
      sent += Buffer.from(piece).toString()
      return true
    },
    drained: () => Promise.resolve(),
    finish: () => {},
  }
  const body = new RequestBody({ pause: () => {}, resume: () => {} }, 0)
  await runner.answer(new Exchange(new RequestHead('GET / HTTP/1.1\r\nHost: a'), body, sink))
  return sent
}

suite('the status of a function', () => {
  const cases: readonly (readonly [what: string, code: Bytes, status: number])[] = [
    ['is what it returns', [I32_CONST, 0x94, 0x03], 404],
    ['is 200 when it returns no status', [I32_CONST, 7], 200],
    [
      'is what it has set, whatever it returns',
      [CALL, 2, I32_CONST, 0x81, 0x04, CALL, 1, DROP, I32_CONST, 0x94, 0x03],
      513,
    ],
  ]
  for (const [what, code, status] of cases) {
    test(what, async () => {
      assert.match(await answer(code), new RegExp(`^HTTP/1.1 ${status} `))
    })
  }
})

test('an end by a host function keeps its reason', async () => {
  const code = [I32_CONST, 0x7f, I32_CONST, ...leb(5), CALL, 0]
  await assert.rejects(answer(code), (thrown) => explain(thrown).reason === 'BAD_ADDRESS')
})
