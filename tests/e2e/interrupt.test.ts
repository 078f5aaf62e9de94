/** Ctrl-C while `quiver deploy` runs: it ends at once, and says what runs now. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'

import { ROOT, TestNode } from './harness.ts'

const QUIVER = path.join(ROOT, 'bin/quiver')

const manifest = (name: string, more = ''): string =>
  `name = "${name}"\nruntime = "node@26"\ncommand = ["server.mjs"]\n[http]\nport = 8000\n${more}`

/** Listens after so many milliseconds. */
const serverAfter = (ms: number): string => `
import { createServer } from 'node:http'
const server = createServer((_request, response) => response.end('from ${ms}'))
setTimeout(() => server.listen(8000), ${ms})
`

suite('Ctrl-C during a deployment', () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  /** Sends SIGINT when `look` has seen what it waits for. @returns exit status and stderr */
  const interrupt = async (folder: string, look: (child: Deploying) => Promise<unknown>) => {
    const child: Deploying = spawn(QUIVER, ['deploy', folder], {
      env: node.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const exited = once(child, 'exit')
    await look(child)
    child.kill('SIGINT')
    const [said, [status]] = await Promise.all([text(child.stderr), exited])
    return [status, said] as const
  }

  test('while it builds: nothing was deployed', async () => {
    const build = '[build]\ncommand = "echo building; exec sleep 1000"\n'
    const files = { 'quiver.toml': manifest('building', build), 'server.mjs': serverAfter(0) }
    const folder = await node.writeFiles(files)
    const [status, said] = await interrupt(folder, ({ stderr }) => once(stderr, 'readable'))
    assert.equal(status, 130)
    assert.match(said, /error: interrupted: nothing was deployed \(INTERRUPTED\)/)
    assert.deepEqual(await node.ps(), [])
  })

  test('while the node waits for the new revision: what serves until then, and that it goes on', async () => {
    const files = { 'quiver.toml': manifest('slow'), 'server.mjs': serverAfter(0) }
    const folder = await node.deployFiles(files)
    assert.equal((await node.get('slow')).body, 'from 0')
    await writeFile(path.join(folder, 'server.mjs'), serverAfter(4000))
    const isBegun = async () =>
      (await node.describe('slow')).revisions.length === 2 ? true : undefined
    const [status, said] = await interrupt(folder, () => node.until('a second revision', isBegun))
    assert.equal(status, 130)
    assert.match(
      said,
      /slow is served by revision 1 \(100%\) now; the node goes on with the deployment/,
    )
    assert.match(said, /hint: .*quiver describe slow/)
    await node.until('the new revision', async () =>
      (await node.describe('slow')).traffic[0]?.revision === 2 ? true : undefined,
    )
    assert.equal((await node.get('slow')).body, 'from 4000')
  })
})

type Deploying = ChildProcessByStdio<null, null, Readable>
