import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'

import { compileCommand } from '../../../tests/fixtures/compile.ts'
import { findToolchains, makeComponent } from '../../../tests/fixtures/component-toolchains.ts'
import { liftedFunction, prepareComponent } from '../component/prepare.ts'
import { ComponentProgram } from '../component/program.ts'
import { detectKind, readModule } from '../module.ts'
import { Memories } from '../run/memories.ts'
import { openHostDirectory } from '../wasi.ts'

import { findHostFunction } from './interfaces.ts'
import { World } from './world.ts'

const GUEST = path.join(import.meta.dirname, '../../../tests/e2e/guests/component-files.c')
const LIMITS = { memoryBytesMax: 64 * 1024 * 1024, tableElementsMax: 100_000 }
const missing = await findToolchains()

const EXPECTED = `mkdir("/data/sub", 0777): ok
behind the first line: second
size: 13
rename("/data/sub/a", "/data/sub/b"): ok
symlink("b", "/data/sub/l"): ok
link("/data/sub/b", "/data/sub/c"): ok
entries: 3
truncate("/data/sub/b", 3): ok
rmdir("/data/sub"): Directory not empty
unlink("/data/sub/l"): ok
unlink("/data/sub/b"): ok
unlink("/data/sub/c"): ok
rmdir("/data/sub"): ok
stat("/data/../etc/passwd", &status): Operation not permitted
`

test(
  'a component uses the folders that it is given, and no others',
  { skip: missing },
  async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-component-files-'))
    try {
      const component = path.join(folder, 'component.wasm')
      await makeComponent('command', await compileCommand(GUEST, folder), component)
      const data = path.join(folder, 'data')
      await mkdir(data)
      assert.equal(await run(component, data), EXPECTED)
      assert.deepEqual(await readdir(data), [])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
)

/** @returns its stdout */
async function run(component: string, data: string): Promise<string> {
  const bytes = Uint8Array.from(await readFile(component))
  const kind = detectKind(readModule(bytes))
  assert(kind.kind === 'component')
  const prepared = await prepareComponent(bytes, kind, LIMITS)
  const memories = prepared.given.map((size) => size && new Memories(size))
  const program = new ComponentProgram(prepared, memories, findHostFunction)
  const directory = openHostDirectory(data, { isReadOnly: false })
  let stdout = ''
  const world = new World({
    args: ['files'],
    env: {},
    stdin: { read: () => null },
    stdout: { write: (chunk) => void (stdout += Buffer.from(chunk).toString()) },
    stderr: { write: (chunk) => void (stdout += Buffer.from(chunk).toString()) },
    preopens: [{ name: '/data', directory }],
    // Folders and files are closed when the guest drops them.
    filesMax: 3,
    answerBytesMax: 0,
    log: () => {},
  })
  const instance = program.instantiate(world, { turns: null, count: () => null })
  try {
    await instance.call(liftedFunction(prepared.plan, kind), [])
    return stdout
  } finally {
    instance.close()
    directory.close()
  }
}
