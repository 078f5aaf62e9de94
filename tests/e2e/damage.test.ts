/** What a node does about a data folder that somebody, or a disk, has damaged: it names what is lost and loses nothing else. */

import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'

import type { Finding } from '../../src/cli/doctor/finding.ts'

import { TestNode } from './harness.ts'
import { isLive, instancesOf, strays } from './wreck.ts'

const WEB = (name: string): Readonly<Record<string, string>> => ({
  'quiver.toml': `name = "${name}"\nruntime = "node@26"\ncommand = ["a.mjs"]\n[http]\nport = 8000\n`,
  'a.mjs': `
import { createServer } from 'node:http'
createServer((_request, response) => response.end('${name}')).listen(8000)
`,
})

async function problemsOf(node: TestNode): Promise<readonly string[]> {
  const { stdout } = await node.quiver('node', 'health', '--json')
  const { problems }: { problems: readonly string[] } = JSON.parse(stdout)
  const { findings }: { findings: Finding[] } = JSON.parse(
    (await node.quiver('doctor', '--json')).stdout,
  )
  const ours = problems.filter(
    (problem) => problem.includes(node.data) || problem.includes('set aside'),
  )
  const told = findings.find(({ feature }) => feature === 'node')?.remedy ?? ''
  for (const problem of ours) assert.ok(told.includes(problem), `doctor does not say: ${problem}`)
  return ours
}

suite('a row of the state that is damaged', () => {
  for (const [what, pattern, isTaskLost] of [
    ['a task', 'task/hurt', true],
    ['its revision', 'revision/hurt/%', false],
    ['its image', 'image/%', false],
  ] as const) {
    test(`${what}: it is named and set aside, everything else starts`, async () => {
      await using node = await TestNode.start()
      const folder = await node.deployFiles(WEB('hurt'))
      await node.deployFiles(WEB('well'))
      assert.equal((await node.get('hurt')).body, 'hurt')
      assert.equal((await node.get('well')).body, 'well')
      await node.down()
      const key = damage(path.join(node.data, 'state/state.db'), pattern)
      await node.up()

      assert.match(node.log, new RegExp(`"${key}" in .* was damaged and is set aside`))
      const [problem = '', ...others] = await problemsOf(node)
      assert.match(
        problem,
        new RegExp(`^"${key}" was damaged and is set aside in .*state\\.db-damaged`),
      )
      assert.deepEqual(others, [])
      const names = (await node.ps()).map(({ name }) => name)
      assert.deepEqual(names, isTaskLost ? ['well'] : ['hurt', 'well'])
      if (pattern !== 'image/%') assert.equal((await node.get('well')).body, 'well')
      for (const name of names) await node.ok('describe', name)
      const { status, stderr } = await node.quiver('image', 'gc')
      assert.equal(status === 0, !pattern.startsWith('image'), stderr)
      await node.ok('deploy', folder)
      assert.equal((await node.get('hurt')).body, 'hurt')

      await rm(path.join(node.data, 'state/state.db-damaged'))
      assert.deepEqual(await problemsOf(node), [])
      assert.deepEqual(await strays(node), [])
    })
  }
})

test('folders that are deleted under a running node are named, and come back', async () => {
  await using node = await TestNode.start()
  const folder = await node.deployFiles(WEB('web'))
  assert.equal((await node.get('web')).body, 'web')
  assert.deepEqual(await problemsOf(node), [])

  const trees = path.join(node.data, 'trees')
  const [tree = ''] = await readdir(trees)
  await rm(path.join(trees, tree), { recursive: true })
  assert.match(
    (await problemsOf(node)).join('\n'),
    new RegExp(`^in ${node.data}, trees/${tree} is gone: [^\n]*$`),
  )
  await node.ok('restart', 'web')
  assert.equal((await node.get('web')).body, 'web')
  assert.deepEqual(await problemsOf(node), [])

  await rm(path.join(node.data, 'files'), { recursive: true })
  assert.match((await problemsOf(node)).join('\n'), /256 folders of files\/ are gone/)
  // Trees are links to the files: what runs goes on, and can be started again.
  await node.ok('restart', 'web')
  assert.equal((await node.get('web')).body, 'web')
  assert.equal((await instancesOf(node, 'web')).filter(isLive).length, 1)
  await rm(trees, { recursive: true })
  await node.ok('stop', 'web')
  const refused = await node.quiver('start', 'web')
  assert.match(
    refused.stderr + (await node.get('web')).body,
    /FILE_CORRUPT|is missing from the store/,
  )
  await node.ok('binary', 'import', 'node')
  await node.ok('deploy', folder)
  // It is left alone for a second or two after starts that failed.
  await node.until('an answer', async () => {
    const { body } = await node.get('web')
    return body === 'web' ? true : undefined
  })
  assert.deepEqual(
    (await problemsOf(node)).filter((problem) => problem.includes('trees/')),
    [],
  )
})

/** Changes the value of one row, as a disk would. @returns its key */
function damage(file: string, pattern: string): string {
  using database = new DatabaseSync(file)
  const row = database
    .prepare('SELECT revision, key FROM version WHERE key LIKE ? LIMIT 1')
    .get(pattern)
  assert.ok(row !== undefined, `no key is like ${pattern}`)
  database
    .prepare('UPDATE version SET value = ? WHERE revision = ? AND key = ?')
    .run(Buffer.from('{"damaged":'), row['revision'] ?? null, row['key'] ?? null)
  return String(row['key'])
}
