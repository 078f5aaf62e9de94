/** Damaged files, a full disk, and deployments that are cut or come at the same moment: nothing is half done. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { ROOT, TestNode } from './harness.ts'
import { assertRefused } from './refused.ts'

const WEB = 'name = "app"\nruntime = "node@26"\ncommand = ["a.mjs"]\n[http]\nport = 8000\n'
const SERVER = `import { createServer } from 'node:http'
createServer((request, response) => response.end('hello')).listen(8000)
`

let node: TestNode
before(async () => {
  node = await TestNode.start()
})
after(async () => {
  await node[Symbol.asyncDispose]()
})

suite('stored files', () => {
  test('a damaged one is named, others are fine, and deploying again repairs it', async () => {
    const content = `${SERVER}// ${'x'.repeat(5000)} damaged soon\n`
    await node.deployFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER }, '--name', 'well')
    const files = path.join(node.data, 'files')
    const earlier = new Set(await readdir(files, { recursive: true }))
    const folder = await node.deployFiles({ 'quiver.toml': WEB, 'a.mjs': content }, '--name', 'ill')
    const added = (await readdir(files, { recursive: true })).filter((name) => !earlier.has(name))
    const [damaged] = await Promise.all(
      added.map(async (name) => {
        const bytes = await readFile(path.join(files, name), 'utf8').catch(() => '')
        return bytes.includes('damaged soon') ? [name] : []
      }),
    ).then((found) => found.flat())
    assert.ok(damaged !== undefined)
    await chmod(path.join(files, damaged), 0o644)
    await writeFile(path.join(files, damaged), `${content.slice(0, -2)}?\n`)
    assert.equal((await node.get('well')).status, 200)
    await node.ok('image', 'gc')
    await node.ok('deploy', folder, '--name', 'ill')
    assert.equal((await node.get('ill')).status, 200)
    for (const name of ['well', 'ill']) await node.ok('rm', name)
  })
})

suite('the state', () => {
  test('when it is damaged, quiver up refuses and names the file, and loses nothing', async () => {
    const own = await TestNode.start()
    await own.deployFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER })
    await own.down()
    const state = path.join(own.data, 'state', 'state.db')
    const sound = await readFile(state)
    const damaged = Buffer.from(sound)
    // The pages of its tables, and so more than the value of a row.
    damaged.fill(0xff, 4096 + 8, 4096 + 40)
    await writeFile(state, damaged)
    const up = ['up', '--detach', '--listen-http', '127.0.0.1:0', '--listen-https', 'off']
    assertRefused(await own.quiver(...up), {
      status: 74,
      reason: 'STATE_CORRUPT',
      says: new RegExp(`${state} is damaged`),
    })
    assert.deepEqual(await readFile(state), damaged)
    await writeFile(state, sound)
    await own.up()
    assert.equal((await own.get('app')).body, 'hello')
    await own[Symbol.asyncDispose]()
  })

  test('with a full disk, a deployment says so and leaves nothing half done', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('mounting needs root')
    const disk = path.join(node.folder, 'disk')
    await mkdir(disk)
    await run('mount', '-t', 'tmpfs', '-o', 'size=160m,mode=711', 'tmpfs', disk)
    try {
      const env = { QUIVER_DATA: path.join(disk, 'data') }
      const quiver = async (...args: readonly string[]) => await node.quiverWith({ env }, ...args)
      const up = ['up', '--detach', '--listen-http', '127.0.0.1:0', '--listen-https', 'off']
      assert.equal((await quiver(...up)).status, 0)
      try {
        const big = await node.writeFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER })
        const file = await open(path.join(big, 'big'), 'w')
        await file.truncate(200 * 1024 * 1024)
        await file.close()
        const refused = await quiver('deploy', big)
        assert.notEqual(refused.status, 0)
        assert.match(refused.stderr, /DISK_FULL/)
        assert.match(refused.stderr, /^hint: /m)
        assert.deepEqual(JSON.parse((await quiver('ps', '--json')).stdout), [])
        const image = path.join(ROOT, 'examples', 'busybox')
        assert.equal((await quiver('deploy', image)).status, 0)
        await fill(path.join(disk, 'rest'))
        assert.equal((await quiver('down')).status, 0)
        const again = await quiver(...up)
        assert.equal(again.status, 0, again.stderr)
        assert.equal(JSON.parse((await quiver('ps', '--json')).stdout).length, 1)
      } finally {
        await quiver('down')
      }
    } finally {
      await run('umount', disk)
    }
    return undefined
  })
})

suite('deployments', () => {
  test('one that is interrupted leaves nothing half done', async () => {
    const folder = await node.writeFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER })
    const file = await open(path.join(folder, 'big'), 'w')
    await file.truncate(512 * 1024 * 1024)
    await file.close()
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const child = spawn(path.join(ROOT, 'bin/quiver'), ['deploy', folder], {
        env: node.env,
        stdio: 'ignore',
      })
      const incoming = path.join(node.data, 'incoming')
      await node.until('the upload', async () => {
        const names = await readdir(incoming)
        return names.length > 0 || child.exitCode !== null ? names : undefined
      })
      child.kill(signal)
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      assert.notEqual(child.exitCode, 0)
      assert.deepEqual(await node.ps(), [])
      await node.until('nothing half written', async () => {
        const names = await readdir(incoming)
        return names.length === 0 ? true : undefined
      })
    }
    await writeFile(path.join(folder, 'big'), 'small')
    await node.ok('deploy', folder)
    assert.equal((await node.get('app')).status, 200)
    await node.ok('rm', 'app')
  })

  test('many at once all arrive, as tasks of their own and as revisions of one', async () => {
    const folders = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (word) =>
        node.writeFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER.replace('hello', word) }),
      ),
    )
    await Promise.all(
      folders.flatMap((folder, index) => [
        node.ok('deploy', folder, '--name', `own-${index}`),
        node.ok('deploy', folder, '--name', 'shared'),
      ]),
    )
    const { revisions } = await node.describe('shared')
    assert.equal(revisions.length, 4)
    for (const index of folders.keys()) {
      assert.equal((await node.get(`own-${index}`)).body, 'abcd'[index])
      await node.ok('rm', `own-${index}`)
    }
    await node.ok('rm', 'shared')
  })

  test('one beside a removal ends in one of both orders', async () => {
    const folder = await node.deployFiles({ 'quiver.toml': WEB, 'a.mjs': SERVER })
    await writeFile(path.join(folder, 'a.mjs'), SERVER.replace('hello', 'again'))
    const [removed, deployed] = await Promise.all([
      node.quiver('rm', 'app'),
      node.quiver('deploy', folder),
    ])
    assert.deepEqual([removed.status, deployed.status], [0, 0], removed.stderr + deployed.stderr)
    const tasks = await node.ps()
    if (tasks.length === 0) return
    assert.equal((await node.get('app')).body, 'again')
    await node.ok('rm', 'app')
  })
})

/** Writes until nothing more goes in. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, 'w')
  const block = Buffer.alloc(64 * 1024)
  try {
    for (;;) await handle.write(block)
  } catch (thrown) {
    assert.match(String(thrown), /ENOSPC/)
  } finally {
    await handle.close()
  }
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'inherit' })
  const [status] = await once(child, 'exit')
  assert.equal(status, 0, `${program} ${args.join(' ')}`)
}
