import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'

import { openTestImages, temporaryFolder } from '../../tests/fixtures/images.ts'

import { MACHINE_FOLDER, MachineBinary } from './machine-binary.ts'

const run = promisify(execFile)
const PROGRAM = '/usr/bin/qemu-system-x86_64'
const WITHOUT_QEMU = { skip: existsSync(PROGRAM) ? false : 'QEMU is not installed' }
const MEMORY_BYTES = 2 * 1024 * 1024
const MEMORY = `${MACHINE_FOLDER}/memory`

/** Starts QEMU in nothing but its tree, with a file as the memory of a machine that stops at once. */
async function startMachine(tree: string, file: string, share: 'on' | 'off') {
  const backend = `memory-backend-file,id=memory,size=${MEMORY_BYTES},share=${share},mem-path=${MEMORY}`
  const machine = [
    '-machine',
    'microvm,acpi=off,memory-backend=memory',
    '-m',
    '2M',
    '-object',
    backend,
  ]
  const devices = ['-nodefaults', '-display', 'none', '-monitor', 'stdio', '-S']
  const root = ['--ro-bind', tree, '/', '--proc', '/proc', '--dev', '/dev', '--unshare-all']
  const files = ['--tmpfs', MACHINE_FOLDER, '--ro-bind', file, MEMORY, '--clearenv']
  const bwrap = [...root, ...files, PROGRAM, ...machine, ...devices]
  const child = run('bwrap', bwrap, { timeout: 20_000 })
  child.child.stdin?.end('quit\n')
  return await child
}

async function memoryFile(folder: string): Promise<string> {
  const file = path.join(folder, 'memory')
  await writeFile(file, '')
  await truncate(file, MEMORY_BYTES)
  await chmod(file, 0o666)
  return file
}

suite('MachineBinary', WITHOUT_QEMU, () => {
  test('is made once, and found again by another object', async () => {
    await using opened = await openTestImages()
    const first = await new MachineBinary(opened.images).tree()
    const again = await new MachineBinary(opened.images).tree()
    assert.deepEqual(again, first)
    assert.match(first.version, /^\d+\.\d+(\.\d+)?-[0-9a-f]{12}$/)
    assert.equal((await opened.images.listBinaries()).length, 1)
  })

  test('runs alone, and maps a memory file that it may only read', async () => {
    await using opened = await openTestImages()
    const { path: tree } = await new MachineBinary(opened.images).tree()
    await using folder = await temporaryFolder()
    const { stderr } = await startMachine(tree, await memoryFile(folder.path), 'off')
    assert.equal(stderr, '')
  })

  test('cannot share memory with a file that it may only read', async () => {
    await using opened = await openTestImages()
    const { path: tree } = await new MachineBinary(opened.images).tree()
    await using folder = await temporaryFolder()
    const file = await memoryFile(folder.path)
    await assert.rejects(startMachine(tree, file, 'on'), /unable to map|Permission/i)
  })
})
