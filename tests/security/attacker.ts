/**
 * A task that does whatever it is told: what a hostile program, or a program that was taken over, could do.
 *
 * It is deployed as any other task. `inside` runs a function of the test within it, so it may use nothing of the test.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

import type { TestNode } from '../e2e/harness.ts'

const PROBE_SOURCE = path.join(import.meta.dirname, '../native/probe.c')

declare global {
  /** Inside the task: `ok`, or the code of what went wrong. */
  function attempt(call: () => unknown): Promise<string>
}

/** Evaluates the source that each request brings; the answer is what it returned, or the code of its error. */
const SERVER = `
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
globalThis.attempt = async (call) => {
  try {
    await call()
    return 'ok'
  } catch (error) {
    return error.code ?? String(error)
  }
}
createServer(async (request, response) => {
  const body = await text(request)
  const { source, argument } = JSON.parse(body === '' ? '{"source": "async () => null"}' : body)
  const answer = await (0, eval)('(' + source + ')')(argument).then(
    (value) => ({ value }),
    (error) => ({ error: error.code ?? String(error) }),
  )
  response.end(JSON.stringify(answer))
}).listen(process.env.PORT)
`

export function manifest(name: string, more = ''): string {
  return `
name = "${name}"
runtime = "node@26"
command = ["server.mjs"]
${more}
[http]
port = 8000
`
}

/** Deploys it, with \`/app/probe\` of the tests of ainit beside the server. */
export async function deployAttacker(node: TestNode, name: string, more = ''): Promise<void> {
  const folder = await node.writeFiles({
    'quiver.toml': manifest(name, more),
    'server.mjs': SERVER,
  })
  await cp(await buildProbe(node), path.join(folder, 'probe'))
  await node.ok('deploy', folder)
}

async function buildProbe(node: TestNode): Promise<string> {
  const folder = await mkdtemp(path.join(node.folder, 'probe-'))
  const program = path.join(folder, 'probe')
  await promisify(execFile)('gcc', ['-static', '-O1', '-o', program, PROBE_SOURCE])
  return program
}

/** Runs a function in the task; it sees nothing of this file but its argument. */
export async function inside<A, T>(
  node: TestNode,
  task: string,
  work: (argument: A) => Promise<T>,
  argument: A,
): Promise<T> {
  const body = JSON.stringify({ source: String(work), argument })
  const answer = await node.request(`${task}.localhost`, '/', { method: 'POST' }, body)
  assert.equal(answer.status, 200, answer.body)
  const { value, error } = JSON.parse(answer.body)
  assert.equal(error, undefined, `${task} failed: ${error}`)
  return value
}

/** What a task tries with files, and the word for how that went: `ok` or the name of an error. */
export async function tryPaths(
  node: TestNode,
  task: string,
  tries: readonly (readonly [verb: 'read' | 'list' | 'write' | 'make', path: string])[],
): Promise<Readonly<Record<string, string>>> {
  return await inside(
    node,
    task,
    async (wanted) => {
      const fs = await import('node:fs')
      const verbs = {
        // One byte will do: some of these have no end.
        read: (file: string) => fs.readSync(fs.openSync(file, 'r'), new Uint8Array(1)),
        list: (folder: string) => fs.readdirSync(folder),
        write: (file: string) => fs.writeSync(fs.openSync(file, 'r+'), '1'),
        make: (file: string) => fs.closeSync(fs.openSync(file, 'wx')),
      }
      const results: Record<string, string> = {}
      for (const [verb, file] of wanted)
        results[`${verb} ${file}`] = await attempt(() => verbs[verb](file))
      return results
    },
    tries,
  )
}
