import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'

import { openTestImages, temporaryFolder } from '../../tests/fixtures/images.ts'

import { elfBinary } from './elf-binary.ts'
import { readElf } from './elf.ts'
import type { ImageStore } from './images.ts'
import { putSources } from './sources.ts'

const run = promisify(execFile)
const WITHOUT_COMPILER = { skip: existsSync('/usr/bin/gcc') ? false : 'gcc is not installed' }
const SANDBOX = ['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '--unshare-all']

async function runStored(images: ImageStore, file: string, args: readonly string[]) {
  const { config, sources } = await elfBinary(file, 'own')
  await putSources(images, sources)
  const { digest } = await images.putBinary(config)
  const { path: tree } = await images.materialise(digest)
  const bwrap = ['--ro-bind', tree, '/', ...SANDBOX, '--clearenv', config.entry, ...args]
  return (await run('bwrap', bwrap)).stdout
}

async function compile(folder: string, name: string, source: string, flags: readonly string[]) {
  await writeFile(path.join(folder, `${name}.c`), source)
  await run('gcc', [...flags.slice(0, 1), `${name}.c`, '-o', name, ...flags.slice(1)], {
    cwd: folder,
  })
  return path.join(folder, name)
}

suite('elfBinary()', () => {
  test('a dynamic program brings its loader and libraries, and runs alone', async () => {
    await using opened = await openTestImages()
    assert.match(await runStored(opened.images, '/usr/bin/env', ['A=b']), /^A=b$/m)
  })

  test('the same program is the same binary; its version comes from its bytes', async () => {
    const [one, other] = [
      await elfBinary('/usr/bin/env', 'x'),
      await elfBinary('/usr/bin/env', 'x'),
    ]
    assert.deepEqual(one.config, other.config)
    assert.match(one.config.version, /^[0-9a-f]{12}$/)
    assert.match(one.config.platform, /^linux\/(amd64|arm64)$/)
  })

  test(
    'a static program is one file, beside the authorities that the machine trusts',
    WITHOUT_COMPILER,
    async () => {
      await using folder = await temporaryFolder()
      await using opened = await openTestImages()
      const source = '#include <stdio.h>\nint main() { puts("static"); return 0; }'
      const file = await compile(folder.path, 'server', source, ['-static'])
      const { tree } = (await elfBinary(file, 'own')).config
      const others = tree.filter((entry) => !entry.path.startsWith('etc/ssl'))
      assert.deepEqual(
        others.map((entry) => entry.path),
        ['usr/bin/server'],
      )
      assert.equal(await runStored(opened.images, file, []), 'static\n')
    },
  )

  test(
    'a library beside the program is found by $ORIGIN, and inside too',
    WITHOUT_COMPILER,
    async () => {
      await using folder = await temporaryFolder()
      await using opened = await openTestImages()
      await compile(folder.path, 'libown.so', 'int own(void) { return 42; }', ['-shared', '-fPIC'])
      const source = '#include <stdio.h>\nint own(void); int main() { printf("%d\\n", own()); }'
      const flags = ['-O1', '-L.', '-l:libown.so', '-Wl,-rpath,$ORIGIN']
      const file = await compile(folder.path, 'program', source, flags)
      assert.deepEqual((await readElf(file))?.libraryFolders, ['$ORIGIN'])
      assert.equal(await runStored(opened.images, file, []), '42\n')
    },
  )

  test('a library that is nowhere is named', WITHOUT_COMPILER, async () => {
    await using folder = await temporaryFolder()
    await compile(folder.path, 'libgone.so', 'int gone(void) { return 1; }', ['-shared'])
    const source = 'int gone(void); int main() { return gone(); }'
    const file = await compile(folder.path, 'program', source, ['-O1', '-L.', '-l:libgone.so'])
    await assert.rejects(elfBinary(file, 'own'), {
      reason: 'LIBRARY_MISSING',
      message: /libgone\.so/,
    })
  })

  const damage: readonly [what: string, change: (bytes: Buffer) => Buffer, message: RegExp][] = [
    [
      'another architecture',
      (b) => withUint16(b, 18, b.readUInt16LE(18) === 62 ? 183 : 62),
      /built for (amd64|arm64)/,
    ],
    ['a machine we never heard of', (b) => withUint16(b, 18, 8), /another kind of machine/],
    ['32 bits', (b) => withByte(b, 4, 1), /another kind of machine/],
    ['a cut header', (b) => b.subarray(0, 40), /damaged/],
    ['a cut program header', (b) => b.subarray(0, 100), /damaged/],
    ['a table beyond the end', (b) => withUint16(b, 56, 0xffff), /damaged|built/],
    ['text', () => Buffer.from('hello'), /not an ELF program/],
    ['nothing', () => Buffer.alloc(0), /not an ELF program/],
    ['a script', () => Buffer.from('#!/bin/sh\n'), /script/],
  ]
  for (const [what, change, message] of damage) {
    test(`refuses ${what}`, async () => {
      await using folder = await temporaryFolder()
      const file = path.join(folder.path, 'program')
      await writeFile(file, change(await readFile('/usr/bin/env')), { mode: 0o755 })
      await assert.rejects(elfBinary(file, 'own'), { reason: 'ELF_INVALID', message })
    })
  }

  test('says that a file is not executable, not there, or not a file', async () => {
    await using folder = await temporaryFolder()
    const file = path.join(folder.path, 'program')
    await copyFile('/usr/bin/env', file)
    await chmod(file, 0o644)
    await assert.rejects(elfBinary(file, 'own'), { reason: 'ELF_INVALID', message: /executable/ })
    await assert.rejects(elfBinary(`${file}.x`, 'own'), { reason: 'HOST_FILE_MISSING' })
    await assert.rejects(elfBinary(folder.path, 'own'), { reason: 'ELF_INVALID' })
  })

  test('finds what the loader itself finds', async () => {
    const { tree } = (await elfBinary(process.execPath, 'node')).config
    const listed = execFileSync('ldd', [process.execPath]).toString()
    const names = [...listed.matchAll(/=> \S+\/(\S+) \(/g)].map(([, name]) => name)
    const found = new Set(tree.map((entry) => path.basename(entry.path)))
    assert.deepEqual(
      names.filter((name) => name !== undefined && !found.has(name)),
      [],
    )
  })
})

function withUint16(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeUInt16LE(value, at)
  return bytes
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  bytes[at] = value
  return bytes
}
