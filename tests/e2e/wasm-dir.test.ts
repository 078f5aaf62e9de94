/** Folders of the host that a run shares with its WebAssembly program. */

import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { compileCommand } from '../fixtures/compile.ts'
import { makeComponent, requireToolchains } from '../fixtures/component-toolchains.ts'

import { TestNode } from './harness.ts'

const SOURCE = path.join(import.meta.dirname, 'guests', 'folders.c')
const missing = await requireToolchains()

suite('folders that a run shares', () => {
  let node: TestNode
  let module: string
  before(async () => {
    node = await TestNode.start()
    module = await compileCommand(SOURCE, node.folder)
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** A folder that everybody may read and write, with a note, and beside it what is not shared. */
  async function makeShared(): Promise<string> {
    const parent = await mkdtemp(path.join(node.folder, 'host-'))
    const shared = path.join(parent, 'in')
    await mkdir(shared)
    await writeFile(path.join(shared, 'note.txt'), 'a note\n')
    await writeFile(path.join(parent, 'secret.txt'), 'a secret\n')
    await symlink('../secret.txt', path.join(shared, 'relative'))
    await symlink(path.join(parent, 'secret.txt'), path.join(shared, 'absolute'))
    await symlink('..', path.join(shared, 'up'))
    await chmod(parent, 0o755)
    await chmod(shared, 0o777)
    return shared
  }

  async function refusal(...flags: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await node.quiver('run', module, ...flags)
    assert.notEqual(status, 0)
    assert.equal(stdout, '')
    return stderr
  }

  test('are read under their own name or another one, and not changed', async () => {
    const shared = await makeShared()
    const note = `${shared}/note.txt`
    const flags = ['--dir', shared, '--dir', `${shared}:/data`]
    const written = await node.ok(
      'run',
      module,
      ...flags,
      '--',
      note,
      '/data/note.txt',
      '+/data/note.txt',
      '+/data/new.txt',
    )
    assert.equal(
      written,
      `${note}: a note\n/data/note.txt: a note\n` +
        '/data/note.txt: Read-only file system\n/data/new.txt: Read-only file system\n',
    )
    assert.equal(await readFile(note, 'utf8'), 'a note\n')
  })

  test('are written where the flag says so, relative to where the command runs', async () => {
    const shared = await makeShared()
    const args = ['run', module, '--dir', './in:rw', '--', '+/in/new.txt', '/in/new.txt']
    const ran = await node.quiverWith({ cwd: path.dirname(shared) }, ...args)
    assert.equal(ran.stdout, '/in/new.txt: written\n/in/new.txt: written\n', ran.stderr)
    assert.equal(await readFile(path.join(shared, 'new.txt'), 'utf8'), 'written\n')
  })

  test('lead nowhere else', async () => {
    const shared = await makeShared()
    const ways = ['../secret.txt', 'relative', 'absolute', 'up/secret.txt', '../../etc/passwd']
    const paths = ways.map((way) => `/data/${way}`)
    const out = await node.ok('run', module, '--dir', `${shared}:/data:rw`, '--', ...paths)
    const lines = out.trimEnd().split('\n')
    assert.equal(lines.length, ways.length)
    for (const line of lines) assert.match(line, /: Operation not permitted/)
  })

  test('are there for a component', { skip: missing }, async () => {
    const shared = await makeShared()
    const component = path.join(node.folder, 'folders.component.wasm')
    await makeComponent('command', module, component)
    const args = ['/data/note.txt', '+/data/new.txt', '/data/up/secret.txt']
    const out = await node.ok('run', component, '--dir', `${shared}:/data:rw`, '--', ...args)
    assert.match(out, /note\.txt: a note\n.*new\.txt: written\n/)
    assert.doesNotMatch(out, /a secret/)
    assert.equal(await readFile(path.join(shared, 'new.txt'), 'utf8'), 'written\n')
  })

  /** An image with a file of its own, beside the program. */
  async function makeImage(program: string): Promise<string> {
    const folder = await node.writeFiles({
      'quiver.toml': 'name = "imaged"\nfile = "app.wasm"\n',
      'own.txt': 'of the image\n',
    })
    await copyFile(program, path.join(folder, 'app.wasm'))
    return folder
  }

  suite('take the place of the image, where they have its name', () => {
    const cases = [
      {
        guest: '/app',
        there: ['/app/note.txt: a note', '/own.txt: of the image'],
        gone: ['/app/own.txt: No such file or directory'],
      },
      {
        guest: '/',
        there: ['/note.txt: a note', 'note.txt: a note', '/app/own.txt: of the image'],
        gone: ['/own.txt: No such file or directory'],
      },
      {
        guest: '/app/sub',
        there: ['/app/sub/note.txt: a note', '/app/own.txt: of the image'],
        gone: ['/app/note.txt: No such file or directory'],
      },
    ]
    for (const { guest, there, gone } of cases) {
      for (const kind of ['a module', 'a component'] as const) {
        test(`${guest}, of ${kind}`, { skip: kind === 'a component' && missing }, async () => {
          const shared = await makeShared()
          let program = module
          if (kind === 'a component') {
            program = path.join(node.folder, 'placed.component.wasm')
            await makeComponent('command', module, program)
          }
          const lines = [...there, ...gone]
          const paths = lines.map((line) => line.slice(0, line.indexOf(':')))
          const image = await makeImage(program)
          const out = await node.ok('run', image, '--dir', `${shared}:${guest}`, '--', ...paths)
          assert.deepEqual(out.trimEnd().split('\n'), lines)
        })
      }
    }
  })

  test('that cannot be are refused with the reason', async () => {
    const shared = await makeShared()
    const refused = [
      ['a:b:c', 'DIR_INVALID'],
      [`${shared}:data`, 'DIR_INVALID'],
      [`${shared}/none`, 'DIR_MISSING'],
      [`${shared}/note.txt`, 'DIR_MISSING'],
      ['/proc/self', 'DIR_FORBIDDEN'],
      ['/', 'DIR_FORBIDDEN'],
      [node.data, 'DIR_FORBIDDEN'],
      [node.folder, 'DIR_FORBIDDEN'],
      [path.dirname(node.run), 'DIR_FORBIDDEN'],
    ] as const
    for (const [flag, reason] of refused) {
      assert.match(await refusal('--dir', flag), new RegExp(reason), flag)
    }
    const link = path.join(shared, 'data')
    await symlink(node.data, link)
    assert.match(await refusal('--dir', link), /DIR_FORBIDDEN/)
    const twice = await refusal('--dir', `${shared}:/a`, '--dir', `${shared}:/a`)
    assert.match(twice, /DIR_INVALID/)
  })

  test('are for WebAssembly alone', async () => {
    const shared = await makeShared()
    const { stderr } = await node.quiver('run', 'busybox', '--dir', shared, '--', 'true')
    assert.match(stderr, /DIR_UNSUPPORTED/)
  })

  test('that the program may not reach are named, with what helps', async () => {
    const shared = await makeShared()
    await chmod(path.dirname(shared), 0o700)
    const stderr = await refusal('--dir', shared)
    assert.match(stderr, new RegExp(`${shared}.*START_FAILED`))
    assert.match(stderr, /chmod/)
  })

  test('whose content the program may not read are empty-handed', async () => {
    const shared = await makeShared()
    await chmod(path.join(shared, 'note.txt'), 0o600)
    const out = await node.ok('run', module, '--dir', `${shared}:/data`, '--', '/data/note.txt')
    assert.equal(out, '/data/note.txt: Permission denied\n')
  })
})
