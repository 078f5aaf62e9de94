import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'

import { temporaryFolder } from '../../../tests/fixtures/images.ts'

import { buildInitramfs, installInitramfs } from './initramfs.ts'

const run = promisify(execFile)

suite('buildInitramfs()', () => {
  test('is an archive that cpio reads: init, folders and two devices', async () => {
    await using folder = await temporaryFolder()
    const file = path.join(folder.path, 'archive')
    await writeFile(file, buildInitramfs(Buffer.from('the program')))
    const { stdout } = await run('busybox', ['sh', '-c', `busybox cpio -itv < ${file}`])
    const lines = stdout.trim().split('\n')
    assert.deepEqual(
      lines.map((line) => `${line.slice(0, 10)} ${line.split(' ').at(-1)}`),
      [
        ...['dev', 'proc', 'sys', 'root', 'tmp'].map((name) => `drwxr-xr-x ${name}`),
        'crw------- dev/console',
        'crw-rw-rw- dev/null',
        '-rwxr-xr-x init',
      ],
    )
  })

  test('has the program byte by byte, whatever its length', async () => {
    await using folder = await temporaryFolder()
    for (const length of [0, 1, 2, 3, 4, 4097]) {
      const program = Buffer.alloc(length, 'x')
      const file = path.join(folder.path, String(length))
      await writeFile(file, buildInitramfs(program))
      const unpack = `busybox cpio -i --to-stdout init < ${file} 2>/dev/null`
      const { stdout } = await run('busybox', ['sh', '-c', unpack], { encoding: 'buffer' })
      assert.deepEqual(stdout, program, `${length} bytes`)
    }
  })
})

suite('installInitramfs()', () => {
  test('leaves one file, called after its content; damage is repaired', async () => {
    await using folder = await temporaryFolder()
    const ainit = path.join(folder.path, 'ainit')
    const target = path.join(folder.path, 'bin')
    await writeFile(ainit, 'one')
    await assert.rejects(installInitramfs(target, ainit), { code: 'ENOENT' })
    const first = await installInitramfs(folder.path, ainit)
    await writeFile(`${first}-not-ours`, '')
    await writeFile(ainit, 'other')
    const second = await installInitramfs(folder.path, ainit)
    assert.notEqual(first, second)
    assert.deepEqual((await readdir(folder.path)).toSorted(), [
      'ainit',
      ...[`${path.basename(first)}-not-ours`, path.basename(second)].toSorted(),
    ])
    const { length } = await readFile(second)
    await run('truncate', ['-s', '10', second])
    await installInitramfs(folder.path, ainit)
    assert.equal((await readFile(second)).length, length)
  })
})
