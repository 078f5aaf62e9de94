/** Guests built from source with the generated bindings, run over the real host functions. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'

import { HostSession, openSpecial, prepareHost } from '../../src/executor/host.ts'
import { checkImports, detectKind, limitModule, readModule } from '../../src/executor/module.ts'
import { OFFERED } from '../../src/executor/offered.ts'
import { trapReason } from '../../src/executor/trap.ts'
import { Wasi, WasiExit } from '../../src/executor/wasi.ts'
import { fakeHost, type FakeHost, type FakeHostOptions } from '../fixtures/guest-host.ts'

const run = promisify(execFile)
const GUESTS = path.join(import.meta.dirname, 'guests')
const BINDINGS = path.join(import.meta.dirname, '../../src/guest/bindings')
const ASC = path.join(import.meta.dirname, '../../node_modules/assemblyscript/bin/asc.js')
const LIMITS = { memoryBytesMax: 16 * 1024 * 1024, tableElementsMax: 1000 }

/** No file of its own: it is not TypeScript, and would be checked as if it were. */
const ASSEMBLYSCRIPT = `import * as quiver from './quiver'

export function handle(): i32 {
  const body = quiver.bufferRead(quiver.bufferInput(), 0)
  if (body === null) return 500
  const text = String.UTF8.decode(body).toUpperCase()
  const output = quiver.bufferOutput()
  quiver.bufferWrite(output, String.UTF8.encode(text))
  quiver.bufferSetHeader(output, 'content-type', 'text/plain')
  if (quiver.requestQuery('none') !== null) return 500
  if (quiver.lastError != quiver.Failure.NOT_FOUND) return 500
  return 200
}
`

interface Outcome {
  readonly result: unknown
  readonly body: string
  readonly status: number | null | undefined
  readonly rawHeaders: readonly string[] | undefined
  readonly host: FakeHost
}

let folder: string

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'quiver-guests-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** Builds a C guest without libc. */
async function buildC(name: string): Promise<Uint8Array> {
  const target = path.join(folder, `${name}.wasm`)
  const flags = [
    '--target=wasm32',
    '-O2',
    '-nostdlib',
    '-Wall',
    '-Wl,--no-entry,--export-dynamic',
    `-I${BINDINGS}`,
  ]
  await run('clang', [...flags, '-Wno-main', '-o', target, path.join(GUESTS, `${name}.c`)])
  return readFile(target)
}

/** What an executor does with a module, up to the instance. */
function prepare(
  bytes: Uint8Array,
): (options: FakeHostOptions, entry: string, ...args: readonly number[]) => Promise<Outcome> {
  const facts = readModule(bytes)
  const links = checkImports(facts, OFFERED)
  const module = new WebAssembly.Module(Uint8Array.from(limitModule(bytes, LIMITS)))
  const binding = prepareHost(WebAssembly.Module.imports(module), links)
  return async (options, entry, ...args) => {
    const host = fakeHost(options)
    const session = new HostSession(host)
    const { exports } = new WebAssembly.Instance(module, binding.bind(session))
    session.attach(exports['memory'])
    const exported = exports[entry]
    assert.ok(typeof exported === 'function')
    const call = binding.mayWait ? WebAssembly.promising(exported) : exported
    const result: unknown = await call(...args)
    session.takeResult(result)
    const { answer } = session
    const body = Buffer.from(answer?.body ?? []).toString()
    return { result, body, status: answer?.status, rawHeaders: answer?.rawHeaders, host }
  }
}

function page(text: string): NonNullable<FakeHostOptions['answer']> {
  return () => Promise.resolve({ status: 201, rawHeaders: [], body: Buffer.from(text) })
}

test('a C guest answers with the body in capitals', async () => {
  const bytes = await buildC('uppercase')
  assert.deepEqual(detectKind(readModule(bytes)), {
    kind: 'function',
    entry: 'handle',
    isInitialized: false,
  })
  const guest = prepare(bytes)
  const long = 'Grüße, world. '.repeat(300)
  const outcome = await guest({ input: long }, 'handle')
  assert.equal(outcome.result, 200)
  assert.equal(
    outcome.body,
    long.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase()),
  )
  assert.deepEqual(outcome.rawHeaders, ['content-type', 'text/plain'])
  assert.equal((await guest({ input: '' }, 'handle')).body, '')
})

test('a guest of the older interface runs unchanged', async () => {
  const bytes = await buildC('older')
  const kind = detectKind(readModule(bytes))
  assert.ok(kind.kind === 'function')
  assert.equal(kind.entry, '_start')
  const outcome = await prepare(bytes)({ input: 'abc', answer: page('PAGE') }, '_start', 0, 0)
  assert.equal(outcome.result, 200)
  assert.equal(outcome.body, 'cbaPAGE')
  assert.deepEqual(outcome.rawHeaders, ['content-type', 'text/plain'])
  assert.deepEqual(outcome.host.logged, [['debug', 'done']])
  assert.equal(outcome.status, 200)
  const failed = await prepare(bytes)({ input: 'abc' }, '_start', 0, 0)
  assert.equal(failed.result, 103)
})

suite('a guest that waits', () => {
  test('gets the answer, or an error', async () => {
    const guest = prepare(await buildC('relay'))
    const request = { query: 'url=http%3A%2F%2Fa.example%2Fx' }
    const fetched: string[] = []
    const answer: FakeHostOptions['answer'] = (url, { method }) => {
      fetched.push(`${method} ${url}`)
      return Promise.resolve({ status: 418, rawHeaders: [], body: Buffer.from('tea') })
    }
    const outcome = await guest({ request, answer }, 'handle')
    assert.deepEqual([outcome.result, outcome.status, outcome.body], [0, 418, 'tea'])
    assert.deepEqual(fetched, ['GET http://a.example/x'])
    const refused = await guest({ request }, 'handle')
    assert.equal(refused.result, 502)
    assert.deepEqual(refused.host.logged, [['warn', 'not reached']])
    const other = await guest({ request: { query: 'url=file:///etc/passwd' }, answer }, 'handle')
    assert.equal(other.result, 502)
  })

  test('overlaps with others, each with its own state', async () => {
    const guest = prepare(await buildC('relay'))
    const waiting: (() => void)[] = []
    const starts = Array.from({ length: 20 }, (_, index) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.push(resolve)
      const body = Buffer.from(`answer ${index}`)
      return guest(
        {
          request: { query: 'url=http://a/' },
          answer: () => promise.then(() => ({ status: 200, rawHeaders: [], body })),
        },
        'handle',
      )
    })
    for (const go of waiting.toReversed()) go()
    const bodies = (await Promise.all(starts)).map(({ body }) => body)
    assert.deepEqual(
      bodies,
      starts.map((_, index) => `answer ${index}`),
    )
  })
})

test('a guest calls exports of other tasks, with numbers and a buffer', async () => {
  const bytes = await buildC('interop')
  const links = checkImports(readModule(bytes), OFFERED)
  assert.deepEqual(links.map(({ task, function: name }) => `${task} ${name}`).toSorted(), [
    'numbers multiply',
    'numbers square64',
    'text-tools size_of',
  ])
  const output = { status: 200, rawHeaders: [], body: new Uint8Array(0) }
  const call: FakeHostOptions['call'] = (asked) => {
    const [a = 0, b = 0] = asked.args
    if (asked.function === 'multiply')
      return Promise.resolve({ value: Number(a) * Number(b), output })
    if (asked.function === 'square64') return Promise.resolve({ value: BigInt(a) ** 2n, output })
    return Promise.resolve({ value: asked.buffers.get(Number(a))?.length, output })
  }
  const outcome = await prepare(bytes)({ call }, 'process', 6, 7)
  assert.equal(outcome.result, 5 + 42 + 9)
  await assert.rejects(prepare(bytes)({}, 'process', 6, 7), (thrown) => {
    return trapReason(thrown)?.reason === 'NOT_DECLARED'
  })
})

test('a guest that catches exceptions cannot catch its end', async () => {
  const target = path.join(folder, 'catcher.wasm')
  await run('wat2wasm', ['--enable-exceptions', path.join(GUESTS, 'catcher.wat'), '-o', target])
  const guest = prepare(await readFile(target))
  await assert.rejects(guest({}, 'handle'), (thrown) => {
    assert.ok(thrown instanceof WebAssembly.RuntimeError)
    return trapReason(thrown)?.reason === 'BAD_ADDRESS'
  })
})

test('the Rust binding compiles without std', async (t) => {
  if (!(await hasProgram('rustc'))) return t.skip('there is no rustc')
  const source = path.join(folder, 'lib.rs')
  const binding = path.join(BINDINGS, 'quiver.rs')
  await writeFile(source, `#![no_std]\n#[path = "${binding}"]\npub mod quiver;\n`)
  const flags = ['--edition', '2021', '--crate-type', 'lib', '--emit=metadata', '-D', 'warnings']
  await run('rustc', [...flags, '-o', path.join(folder, 'lib.rmeta'), source])
})

test('an AssemblyScript guest answers with the body in capitals', async (t) => {
  if (!existsSync(ASC)) return t.skip('assemblyscript is not installed')
  const target = path.join(folder, 'uppercase-as.wasm')
  await copyFile(path.join(BINDINGS, 'quiver.ts'), path.join(folder, 'quiver.ts'))
  await writeFile(path.join(folder, 'uppercase-as.ts'), ASSEMBLYSCRIPT)
  const flags = ['-O', '--runtime', 'stub', '--use', 'abort=', '-o', target]
  await run(process.execPath, [ASC, 'uppercase-as.ts', ...flags], { cwd: folder })
  const outcome = await prepare(await readFile(target))({ input: 'grüße' }, 'handle')
  assert.deepEqual([outcome.result, outcome.body], [200, 'GRÜSSE'])
})

suite('files that are opened by name', () => {
  test('a libc guest copies a URL and the body to the output', async () => {
    const outcome = await runFiles({ input: 'in', answer: page('PAGE') }, 'http://a.example/x')
    assert.equal(outcome.status, 0)
    assert.equal(Buffer.from(outcome.session.answer?.body ?? []).toString(), 'PAGE|in')
    assert.equal(outcome.stdout, 'copied\n')
  })

  const refused = [
    ['a URL that may not be reached', 'https://a.example/', 'EACCES'],
    ['an input that was not sent', 'api://input/1', 'ENOENT'],
    ['the output, to be read', 'api://output', 'EACCES'],
    ['another name', 'api://inputs', 'ENOENT'],
  ] as const
  for (const [what, name, expected] of refused) {
    test(`${what}: ${expected}`, async () => {
      const { status, stdout } = await runFiles({}, name)
      assert.deepEqual([status, stdout], [1, `${expected}\n`])
    })
  }

  test('what is written counts as output', async () => {
    const options = { input: 'x'.repeat(2000), limits: { outputBytesMax: 1000 } }
    await assert.rejects(runFiles(options, 'api://input/0'), (thrown) => {
      return trapReason(thrown)?.reason === 'OUTPUT_TOO_LARGE'
    })
  })
})

/** Runs files.c over WASI with the name of a file to copy. */
async function runFiles(
  options: FakeHostOptions,
  name: string,
): Promise<{ status: number; stdout: string; session: HostSession }> {
  const target = path.join(folder, 'files.wasm')
  if (!existsSync(target)) {
    const source = path.join(GUESTS, 'files.c')
    await run('clang', ['--target=wasm32-wasi', '-O2', '-o', target, source])
  }
  const module = new WebAssembly.Module(await readFile(target))
  const session = new HostSession(fakeHost(options))
  let stdout = ''
  const wasi = new Wasi({
    args: ['files', name],
    stdout: { write: (bytes) => void (stdout += Buffer.from(bytes).toString()) },
    openSpecial: (asked, access) => openSpecial(session, asked, access),
  })
  const names = WebAssembly.Module.imports(module).map((one) => one.name)
  const { exports } = new WebAssembly.Instance(module, {
    wasi_snapshot_preview1: wasi.imports(names),
  })
  const { memory, _start: start } = exports
  assert.ok(memory instanceof WebAssembly.Memory && typeof start === 'function')
  wasi.bind(memory)
  try {
    await WebAssembly.promising(start)()
    return { status: 0, stdout, session }
  } catch (thrown) {
    if (!(thrown instanceof WasiExit)) throw thrown
    return { status: thrown.status, stdout, session }
  } finally {
    wasi.close()
  }
}

async function hasProgram(name: string): Promise<boolean> {
  try {
    await run(name, ['--version'])
    return true
  } catch {
    return false
  }
}
