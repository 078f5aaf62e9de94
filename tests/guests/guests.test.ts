/**
 * Which languages run as WebAssembly: each is built, or taken as npm ships it, and used on a real node. What is found is
 * compared with languages.json, of which docs/reference/wasm-languages.md is made; --test-update-snapshots writes it.
 *
 * Takes minutes the first time: `scripts/test guests`, which `npm test` does not include.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'

import { ROOT, TestNode } from '../e2e/harness.ts'
import { deployModule } from '../fixtures/wasm-node.ts'

import { buildGuest, bytesOf, fetchModule } from './built.ts'
import { readLanguages, sortLanguages, writeLanguages, type Language } from './languages.ts'

const run = promisify(execFile)
const GO = '/usr/lib/go-1.23/bin'
/** A module of the same compiler differs by the names of folders in it. */
const BYTES_SHARE = 0.05

/** Languages of `quiver new`, and what says the version of their compiler. */
const TEMPLATES = [
  { language: 'C', template: 'wasm-c', version: ['clang', '--version'] },
  { language: 'Rust', template: 'wasm-rust', version: ['/usr/bin/rustc', '--version'] },
  { language: 'Go', template: 'wasm-go', version: [`${GO}/go`, 'version'] },
  {
    language: 'AssemblyScript',
    template: 'wasm-assemblyscript',
    version: ['node_modules/.bin/asc', '--version'],
  },
  { language: 'WebAssembly text', template: 'wasm-wat', version: ['wat2wasm', '--version'] },
] as const
const BUILD_ENV = { RUSTC: '/usr/bin/rustc', PATH: `${GO}:${process.env['PATH']}` }

/** Programs that are built from source, and run once. */
const PROGRAMS = [
  {
    language: 'C++',
    name: 'cplusplus',
    args: [],
    input: 'in small letters',
    output: 'IN SMALL LETTERS',
    note: 'a filter with `<algorithm>` and `<iostream>`; without exceptions, which Debian leaves out of its library',
  },
  {
    language: 'Lua',
    name: 'lua',
    args: ['-'],
    input: `print(1 + 1, select(2, pcall(error, "caught")))
      local each = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(i) end end)
      print(each(), each())`,
    output: '2\tcaught\n1\t2\n',
    note: 'the interpreter of the Debian package, with errors, coroutines and a script on standard input',
  },
  {
    language: 'JavaScript',
    name: 'quickjs',
    args: [],
    input: `function* each() { yield* [1, 2] }
      try { null.x } catch { print(1 + 1, [...each()], 10n ** 20n, /a(b+)/.exec('xabb')[1]) }`,
    output: '2 1,2 100000000000000000000 bb\n',
    note: 'QuickJS of the Debian package, with a script on standard input',
  },
  {
    language: 'Rust (component)',
    name: 'rust-component',
    args: ['a', 'b'],
    input: 'one two one',
    output: 'ONE TWO ONE {"one": 2, "two": 1} ["a", "b"]\n',
    note: 'a filter of nothing but `std`, of world `wasi:cli/command`, with the packages of Debian sid; `cargo` and crates are not there',
  },
] as const

/** What npm ships for these is made for another host. The first import of it that nobody offers is in `missing`. */
const REFUSED = [
  {
    language: 'Python',
    spec: 'pyodide@314.0.7',
    file: 'pyodide.asm.wasm',
    missing: '"env" "capture_stderr"',
    note: 'made with Emscripten, for a JavaScript host: it imports the system from `env`. npm has no build of CPython for WASI',
  },
  {
    language: 'PHP',
    spec: '@php-wasm/node-8-4@3.1.54',
    file: 'jspi/8_4_25/php_8_4.wasm',
    missing: '"env" "js_getpid"',
    note: 'made with Emscripten, for a JavaScript host: it imports the system from `env`. npm has no build of PHP for WASI',
  },
  {
    language: 'Ruby',
    spec: '@ruby/3.4-wasm-wasi@2.10.1',
    file: 'dist/ruby+stdlib.wasm',
    missing: '"canonical_abi" "resource_drop_js-abi-value"',
    note: 'made for WASI and a JavaScript host that it calls through `rb-js-abi-host`; the build without it is not in npm',
  },
] as const

/** No compiler in Debian or npm, from which these tests take theirs. */
const NOT_TRIED: Readonly<Record<string, string>> = {
  'C#': 'the workload `wasi-experimental` of .NET is in neither Debian nor npm',
  Kotlin: 'the compiler for `wasmWasi` is in neither Debian nor npm',
  TinyGo: 'it is in neither Debian, sid included, nor npm; its source needs the libraries of LLVM',
}

/** How programs of coreutils are used, and what they print. */
const TOOLS: readonly (readonly [name: string, args: readonly string[], output: string])[] = [
  ['base64', [], 'cGVhcgphcHBsZQpmaWcK\n'],
  ['cut', ['-c1-2'], 'pe\nap\nfi\n'],
  ['date', ['-u', '-d', '@0', '+%F'], '1970-01-01\n'],
  ['factor', ['18446744073709551617'], '18446744073709551617: 274177 67280421310721\n'],
  ['nl', ['-w1'], '1\tpear\n2\tapple\n3\tfig\n'],
  ['numfmt', ['--to=iec', '1048576'], '1.0M\n'],
  ['seq', ['3'], '1\n2\n3\n'],
  ['sha256sum', [], 'd7b8370b133ffebfa89e67453a41c3c1bf366d9a0f2cf9263caafc41359dc9a6  -\n'],
  ['sort', [], 'apple\nfig\npear\n'],
  ['tr', ['a-z', 'A-Z'], 'PEAR\nAPPLE\nFIG\n'],
  ['wc', ['-w'], '3\n'],
]
/** They need files, users, or other programs. */
const LEFT_OUT =
  'chcon chgrp chmod chown cp dir du ginstall groups id kill ln ls mkdir mv rm shred split stat tail tty vdir whoami'

suite('languages', { concurrency: false }, () => {
  let node: TestNode
  const found: Language[] = Object.entries(NOT_TRIED).map(([language, note]) => {
    return { language, outcome: 'not tried', sample: null, toolchain: null, bytes: null, note }
  })
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  for (const { language, template, version } of TEMPLATES) {
    test(`${language}: the template ${template} answers in capitals`, async () => {
      const parent = await node.writeFiles({})
      await node.quiverWith({ cwd: parent }, 'new', 'up', '--template', template)
      const folder = path.join(parent, 'up')
      if (template === 'wasm-assemblyscript')
        await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
      const deployed = await node.quiverWith({ env: BUILD_ENV }, 'deploy', folder)
      assert.equal(deployed.status, 0, deployed.stderr)
      const { body } = await node.request('up.localhost', '/', { method: 'POST' }, 'small')
      assert.equal(body, 'SMALL')
      await node.ok('rm', 'up')
      const [program, ...args] = version
      const { stdout } = await run(program, args, { cwd: ROOT })
      const [, number = ''] = /(\d+\.\d+\.\d+)/.exec(stdout) ?? []
      found.push({
        language,
        outcome: 'runs',
        sample: `templates/${template}`,
        toolchain: `${path.basename(program)} ${number}`,
        bytes: await bytesOf(path.join(folder, 'app.wasm')),
        note: 'answers requests with the body in capitals',
      })
    })
  }

  for (const { language, name, args, input, output, note } of PROGRAMS) {
    test(`${language}: ${name} runs`, async () => {
      const { folder, toolchain } = await buildGuest(name)
      const file = path.join(folder, 'app.wasm')
      const result = await node.quiverWith({ input }, 'run', file, '--', ...args)
      assert.deepEqual([result.stdout, result.status], [output, 0], result.stderr)
      const sample = `tests/guests/${name}`
      const bytes = await bytesOf(file)
      found.push({ language, outcome: 'runs', sample, toolchain, bytes, note })
    })
  }

  test('C (component): a handler of wasi:http/proxy answers in capitals', async () => {
    const { folder, toolchain } = await buildGuest('c-component')
    const file = path.join(folder, 'app.wasm')
    await deployModule(node, file, 'handler')
    const { body } = await node.request('handler.localhost', '/', { method: 'POST' }, 'small')
    assert.equal(body, 'SMALL')
    found.push({
      language: 'C (component)',
      outcome: 'runs',
      sample: 'tests/guests/c-component',
      toolchain,
      bytes: await bytesOf(file),
      note: 'answers requests as they come, of world `wasi:http/proxy`, with bindings by hand: `wit-bindgen` is in neither Debian nor npm',
    })
  })

  for (const { language, spec, file, missing, note } of REFUSED) {
    test(`${language}: ${spec} is refused, by the names that it misses`, async () => {
      const { folder, toolchain } = await fetchModule(language.toLowerCase(), spec, file)
      const module = path.join(folder, 'app.wasm')
      const { status, stderr } = await node.quiver('run', module)
      assert.notEqual(status, 0)
      assert.match(stderr, /MODULE_IMPORTS_UNKNOWN/)
      assert.ok(stderr.includes(missing), stderr)
      const bytes = await bytesOf(module)
      found.push({ language, outcome: 'refused', sample: spec, toolchain, bytes, note })
    })
  }

  test('languages.json says what was found', async () => {
    if (process.execArgv.includes('--test-update-snapshots')) await writeLanguages(found)
    const known = readLanguages()
    assert.deepEqual(known.map(withoutSize), sortLanguages(found).map(withoutSize))
    for (const { language, bytes } of found) {
      const expected = known.find((one) => one.language === language)?.bytes ?? 0
      const isNear = Math.abs((bytes ?? 0) - expected) <= expected * BYTES_SHARE
      assert.ok(isNear, `${language}: ${bytes} bytes, and ${expected} in the table`)
    }
  })
})

/** A module of the same compiler differs a little. */
function withoutSize(language: Language): Language {
  return { ...language, bytes: 0 }
}

suite('GNU coreutils', { concurrency: false }, () => {
  let node: TestNode
  let folder: string
  before(async () => {
    node = await TestNode.start()
    folder = (await buildGuest('coreutils')).folder
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  for (const [name, args, output] of TOOLS) {
    test([name, ...args].join(' '), async () => {
      const input = 'pear\napple\nfig\n'
      const file = path.join(folder, `${name}.wasm`)
      const result = await node.quiverWith({ input }, 'run', file, '--', ...args)
      assert.deepEqual([result.stdout, result.status], [output, 0], result.stderr)
    })
  }

  test('those that do not compile are known', () => {
    const lines = readFileSync(path.join(folder, 'left-out'), 'utf8').trim().split('\n')
    const names = lines.map((line) => line.split('\t')[0])
    assert.equal(names.join(' '), LEFT_OUT)
  })
})
