/** Commands built from C that answer a request in each of the ways that they can. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

import { Exchange } from '../../src/executor/http/exchange.ts'
import { RequestBody } from '../../src/executor/http/request-body.ts'
import { RequestHead } from '../../src/executor/http/request-head.ts'
import { detectKind, readModule } from '../../src/executor/module.ts'
import { NO_OUTSIDE, type ModulePlan } from '../../src/executor/protocol.ts'
import { createRunner } from '../../src/executor/run/create.ts'

const run = promisify(execFile)
const GUESTS = path.join(import.meta.dirname, 'guests')
const BINDINGS = path.join(import.meta.dirname, '../../src/guest/bindings')
const LIMITS = {
  memoryBytes: 16 * 1024 * 1024,
  cpuTimeMs: 1000,
  cpuMillis: null,
  requestTimeoutMs: 1000,
  outputBytes: 100_000,
  inputBytes: 1000,
  files: 10,
  hostCalls: 1000,
}

interface Outcome {
  readonly sent: string
  readonly logged: string
}

let folder: string

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'quiver-commands-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function runCommand(name: string, args: readonly string[], body: string): Promise<Outcome> {
  const target = path.join(folder, `${name}.wasm`)
  const source = path.join(GUESTS, `${name}.c`)
  await run('clang', ['--target=wasm32-wasi', '-O2', `-I${BINDINGS}`, '-o', target, source])
  const bytes = await readFile(target)
  const plan: ModulePlan = {
    task: name,
    args,
    argv0: name,
    env: {},
    stdout: 'cgi',
    entry: null,
    isReused: false,
    script: null,
    outside: NO_OUTSIDE,
    limits: LIMITS,
  }
  let [sent, logged] = ['', '']
  const runner = createRunner({
    module: new WebAssembly.Module(bytes),
    memory: null,
    exports: [],
    links: [],
    kind: detectKind(readModule(bytes)),
    plan,
    component: null,
    budget: null,
    folders: [],
    files: null,
    memories: 1,
    log: (_, piece) => void (logged += Buffer.from(piece).toString()),
  })
  const sink = {
    write: (piece: Uint8Array) => ((sent += Buffer.from(piece).toString()), true),
    drained: () => Promise.resolve(),
    finish: () => {},
  }
  const content = new RequestBody({ pause: () => {}, resume: () => {} }, body.length)
  content.feed(Buffer.from(body))
  const head = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}`
  await runner.answer(new Exchange(new RequestHead(head), content, sink))
  return { sent, logged }
}

test('what is written to api://output is the answer, and stdout is log', async () => {
  const { sent, logged } = await runCommand('files', ['api://input'], 'body')
  assert.match(sent, /^HTTP\/1\.1 200 [^]*\r\n\r\nbody\|body$/)
  assert.equal(logged, 'copied\n')
})

test('host functions answer, and stdin has the body too', async () => {
  const { sent, logged } = await runCommand('both', [], 'body')
  assert.match(sent, /^HTTP\/1\.1 201 [^]*\r\n\r\nbody body$/)
  assert.equal(logged, 'no header\n\nbut text\n')
})

test('a program that has no answer is told so', async () => {
  const failed = runCommand('files', ['api://nothing'], 'body')
  await assert.rejects(failed, { reason: 'EXITED' })
})

test('a body that is too long to be had as a whole is refused', async () => {
  const failed = runCommand('files', ['api://input'], 'x'.repeat(1001))
  await assert.rejects(failed, { reason: 'INPUT_TOO_LARGE' })
})
