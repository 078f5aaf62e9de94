/** A program crashes in its machine: what the kernel dumped is kept, listed and fetched, and a debugger makes sense of it. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'

import type { CoreView } from '../../src/client/resources.ts'
import { findKernel } from '../../src/kernel/kernels.ts'

import { TestNode } from './harness.ts'
import { instancesOf, killProcess } from './wreck.ts'

const run = promisify(execFile)
const kernel = await findKernel(process.env, process.getuid?.() ?? 0)
const skip = kernel === undefined ? 'no kernel was built: run "quiver kernel build"' : false
const hasGdb = existsSync('/usr/bin/gdb')

/** Crashes in a function that has a name, with a value to look for; with an argument it has children that do, and lives. */
const CRASH = `#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int volatile answer = 4711;
static void fall(int *nowhere) { *nowhere = answer; }
int main(int argc, char **argv) {
  if (argc == 1) fall((int *)8);
  if (fork() == 0) fall((int *)8);
  wait(NULL);
  puts(argv[1]);
  fflush(stdout);
  for (;;) pause();
}
`

function manifest(name: string, limit: string, ...args: readonly string[]): string {
  return `name = "${name}"
file = "./crash"
command = ${JSON.stringify(args)}
isolation = "microvm"
[limits]
memory = "64MiB"
${limit}
[build]
command = "cc -g -O0 -static -o crash crash.c"
`
}

suite('core dumps', { skip }, () => {
  let node: TestNode
  /** Has the program, as the build left it. */
  let folder: string
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const list = async (...task: readonly string[]): Promise<readonly CoreView[]> =>
    JSON.parse(await node.ok('core', 'ls', ...task, '--json'))
  const untilStored = async (task: string, count: number) =>
    await node.until(`core dump ${count} of ${task}`, async () => {
      const cores = await list(task)
      return cores.length >= count ? cores : undefined
    })
  const crash = async (name: string, limit: string): Promise<string> => {
    const files = { 'quiver.toml': manifest(name, limit), 'crash.c': CRASH }
    const written = await node.writeFiles(files)
    const { status } = await node.quiver('run', written, '--name', name)
    assert.equal(status, 139)
    return written
  }

  test('a crash is kept with all that is known of it, and stays when its instance goes', async () => {
    folder = await crash('crash', 'core = "64MiB"')
    const [core] = await untilStored('crash', 1)
    assert.ok(core !== undefined)
    const [instance] = await instancesOf(node, 'crash')
    assert.equal(core.instance, instance?.id)
    assert.ok(instance?.exit?.isCoreDumped)
    const { number, revision, signal, command, isTruncated } = core
    assert.deepEqual(
      { number, revision, signal, command, isTruncated },
      { number: 1, revision: 1, signal: 11, command: 'crash', isTruncated: false },
    )
    assert.equal(core.program?.path, '/usr/bin/crash')
    const { stdout } = await run('readelf', ['-n', path.join(folder, 'crash')])
    assert.equal(core.program.buildId, /Build ID: ([0-9a-f]+)/.exec(stdout)?.[1])
    assert.ok(core.storedBytes < core.bytes)
    const events = await node.ok('events', '--task', 'crash')
    assert.match(events, /coreStored.*core dump 1 is kept/)
    assert.match(await node.ok('describe', 'crash'), /Core dumps[^]*SIGSEGV[^]*\/usr\/bin\/crash/)
    const written = await readdir(path.join(node.data, 'microvms', core.instance, 'out'))
    assert.ok(!written.some((name) => name.startsWith('core')))
  })

  test('it is fetched as it was, once into a file, and gdb says where the crash was', async (t) => {
    const [core] = await list('crash')
    const fetched = ['core', 'get', 'crash', '-o', path.join(folder, 'core')]
    await node.ok(...fetched)
    const { size, mode } = await stat(path.join(folder, 'core'))
    assert.deepEqual([size, mode & 0o777], [core?.bytes, 0o600])
    const again = await node.quiver(...fetched)
    assert.match(again.stderr, /FILE_EXISTS/)
    const missing = await node.quiver('core', 'get', 'crash', '7')
    assert.match(missing.stderr, /CORE_NOT_FOUND/)
    if (!hasGdb) return t.skip('gdb is not installed')
    const commands = ['-batch', '-nx', '-ex', 'bt', '-ex', 'print answer', './crash', 'core']
    const { stdout } = await run('gdb', commands, { cwd: folder })
    assert.match(stdout, /fall \(nowhere=0x8\)/)
    assert.match(stdout, /\$1 = 4711/)
    return undefined
  })

  test('what is longer than its limit is cut off, and said to be', async () => {
    await crash('cut', 'core = "32KiB"')
    const [core] = await untilStored('cut', 1)
    assert.ok(core?.isTruncated)
    assert.ok(core.bytes <= 32 * 1024)
    assert.match(await node.ok('core', 'ls', 'cut'), /cut off/)
  })

  test('none is made unless it is asked for', async () => {
    await crash('silent', '')
    assert.deepEqual(await list('silent'), [])
  })

  test('a child crashes and its parent goes on: its dump is there at once', async () => {
    const files = {
      'quiver.toml': manifest('parent', 'core = "64MiB"', 'reaped'),
      'crash.c': CRASH,
    }
    await node.ok('run', await node.writeFiles(files), '--name', 'parent', '--detach')
    const [core] = await untilStored('parent', 1)
    assert.equal(core?.signal, 11)
    const [instance] = await instancesOf(node, 'parent')
    assert.equal(instance?.state, 'running')
    assert.equal(core.instance, instance.id)
  })

  test('control is killed, and forgets none', async () => {
    const known = await list()
    await killProcess(node, 'control')
    const found = await node.until('control', () => list())
    assert.deepEqual(found, known)
  })

  test('they are removed by number, and with their task', async () => {
    await node.ok('core', 'rm', 'cut', '1')
    assert.deepEqual(await list('cut'), [])
    await node.ok('core', 'rm', 'cut')
    await node.ok('rm', 'crash')
    const cores = path.join(node.data, 'cores')
    await node.until('its folder to go', async () =>
      (await readdir(cores)).includes('crash') ? undefined : true,
    )
    assert.ok((await list()).every(({ task }) => task !== 'crash'))
  })

  test('what was taken and not stored when control was killed is stored later', async () => {
    const [core] = await list('parent')
    assert.ok(core !== undefined)
    const control = await node.pid('control')
    process.kill(control, 'SIGSTOP')
    await using file = await open(
      path.join(node.data, 'cores', '.incoming', `${core.instance}.9`),
      'w',
    )
    await file.write('pid=1 signal=6 comm=a b\n\x7fELF, or so it says')
    process.kill(control, 'SIGKILL')
    const cores = await untilStored('parent', 2)
    const { command, signal, program, isTruncated, bytes } = cores[1] ?? core
    assert.deepEqual(
      { command, signal, program, isTruncated, bytes },
      { command: 'a b', signal: 6, program: null, isTruncated: true, bytes: 19 },
    )
  })
})
