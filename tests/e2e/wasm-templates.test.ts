/** The WebAssembly templates, from `quiver new` to an answer in capitals, by the compilers that this machine has. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { ROOT, TestNode } from './harness.ts'

interface Toolchain {
  /** A file that only a machine with the compiler has. */
  readonly has: string
  /** What the build says where there is none. */
  readonly missing: RegExp
  readonly env?: NodeJS.ProcessEnv
}

const GO = '/usr/lib/go-1.23/bin'

const TOOLCHAINS: Readonly<Record<string, Toolchain>> = {
  'wasm-c': {
    has: '/usr/include/wasm32-wasi/stdio.h',
    missing: /there is no clang\. Run "apt-get install clang lld wasi-libc /,
  },
  'wasm-rust': {
    has: '/usr/lib/rustlib/wasm32-wasi',
    missing: /there is no rustc with a standard library for WASI\.\n.*libstd-rust-dev-wasm32/,
    // Another one, without this target, may come first.
    env: { RUSTC: '/usr/bin/rustc' },
  },
  'wasm-assemblyscript': {
    has: path.join(ROOT, 'node_modules/assemblyscript'),
    missing: /there is no npm\. Run "apt-get install npm"/,
  },
  'wasm-go': {
    has: GO,
    missing: /there is no go 1\.21 or newer\.\n.*bookworm-backports/,
    env: { PATH: `${GO}:${process.env['PATH']}` },
  },
  'wasm-wat': {
    has: '/usr/bin/wat2wasm',
    missing: /there is no wat2wasm\. Run "apt-get install wabt"/,
  },
}

suite('templates of WebAssembly', () => {
  let node: TestNode
  /** Of programs: what builds and `bin/quiver` need, and no compiler. */
  let bare: string
  before(async () => {
    node = await TestNode.start()
    bare = await node.writeFiles({})
    for (const name of ['sh', 'env', 'grep', 'readlink', 'dirname', 'uname']) {
      await symlink(`/bin/${name}`, path.join(bare, name))
    }
    await symlink(process.execPath, path.join(bare, 'node'))
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** @returns its folder */
  async function makeNew(template: string): Promise<string> {
    const parent = await node.writeFiles({})
    const made = await node.quiverWith({ cwd: parent }, 'new', 'up', '--template', template)
    assert.equal(made.status, 0, made.stderr)
    return path.join(parent, 'up')
  }

  for (const [template, { has, env }] of Object.entries(TOOLCHAINS)) {
    const skip = existsSync(has) ? false : `this machine has no ${has}`
    test(`${template} answers in capitals`, { skip }, async () => {
      const folder = await makeNew(template)
      if (template === 'wasm-assemblyscript') {
        // What "npm install" would put there.
        await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
      }
      const deployed = await node.quiverWith({ env: { ...env } }, 'deploy', folder)
      assert.equal(deployed.status, 0, deployed.stderr)
      const text = 'a photo of a fox, described. '.repeat(5000)
      const answer = await node.request('up.localhost', '/', { method: 'POST' }, text)
      assert.deepEqual([answer.status, answer.body], [200, text.toUpperCase()])
      assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      const empty = await node.request('up.localhost', '/', { method: 'POST' })
      assert.deepEqual([empty.status, empty.body], [200, ''])
      await node.ok('rm', 'up')
    })
  }

  for (const [template, { missing }] of Object.entries(TOOLCHAINS)) {
    test(`${template} names what to install where the compiler is missing`, async () => {
      const folder = await makeNew(template)
      const { status, stderr } = await node.quiverWith({ env: { PATH: bare } }, 'deploy', folder)
      assert.equal(status, 78)
      assert.match(stderr, missing)
      assert.match(stderr, /the build command ended with status 127 \(BUILD_FAILED\)/)
    })
  }
})
