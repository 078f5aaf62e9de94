/**
 * `npm start`: the main job in one go. Starts a node, deploys three examples, sends real requests, says how each was
 * started and how long it took, and leaves the node running until Ctrl-C.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = path.join(import.meta.dirname, '..')
const QUIVER = path.join(ROOT, 'bin/quiver')
const EXAMPLES = ['node-hello', 'static-c', 'busybox']
/** It is paused after a second, so that a resume can be shown. */
const PAUSING = 'static-c'
/** Without the freezer, which root has, nothing is ever paused. */
const PAUSE_TIMEOUT_MS = 4000

interface Answer {
  /** `cold`, `resumed` or `warm`, as the proxy says. */
  readonly start: string
  readonly ms: number
}

async function main(): Promise<number> {
  const node = spawn(QUIVER, ['up'], { stdio: ['inherit', 'pipe', 'inherit'] })
  const exited = once(node, 'exit')
  let isInterrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      isInterrupted = true
      node.kill('SIGTERM')
    })
  }
  const port = await httpPort(node)
  if (port === undefined) return await statusOf(exited)

  try {
    for (const example of EXAMPLES) {
      const status = await run('deploy', path.join(ROOT, 'examples', example))
      if (status !== 0) {
        node.kill('SIGTERM')
        await exited
        return status
      }
    }
    for (const example of EXAMPLES) await show(example, port)
  } catch (error) {
    // A node that ends takes its requests with it.
    if (!isInterrupted) throw error
  }
  if (!isInterrupted)
    process.stdout.write('The node runs until Ctrl-C. In another terminal: bin/quiver ps\n')
  return await statusOf(exited)
}

async function show(example: string, port: number): Promise<void> {
  const beganMs = Date.now()
  const answers = [await ask(example, port), await ask(example, port)]
  if (example === PAUSING && (await untilPaused(example, beganMs)))
    answers.push(await ask(example, port))
  const times = answers.map(({ start, ms }) => `${start} ${formatMs(ms)}`)
  process.stdout.write(`http://${example}.localhost:${port}/  ${times.join(', ')}\n`)
}

/** Undefined when the node ended instead of starting; it has said why. */
async function httpPort(node: ChildProcess): Promise<number | undefined> {
  if (node.stdout === null) return undefined
  for await (const line of createInterface(node.stdout)) {
    process.stdout.write(`${line}\n`)
    const [, port] = /^http +\S+:(\d+)$/.exec(line) ?? []
    if (port === undefined) continue
    node.stdout.resume()
    return Number(port)
  }
  return undefined
}

async function run(...args: readonly string[]): Promise<number> {
  return await statusOf(once(spawn(QUIVER, args, { stdio: 'inherit' }), 'exit'))
}

async function statusOf(exited: Promise<unknown[]>): Promise<number> {
  const [status] = await exited
  return typeof status === 'number' ? status : 1
}

/** One GET over a connection of its own, timed from the first byte sent to the last one received. */
async function ask(task: string, port: number): Promise<Answer> {
  const beganMs = performance.now()
  const headers = { host: `${task}.localhost:${port}` }
  const outgoing = request({ host: '127.0.0.1', port, headers, agent: false })
  outgoing.end()
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  outgoing.on('error', reject)
  outgoing.on('response', (answer) => {
    answer.resume()
    answer.on('end', () => {
      const [, start = `status ${answer.statusCode}`] =
        /quiver;desc=(\w+)/.exec(String(answer.headers['server-timing'])) ?? []
      resolve({ start, ms: performance.now() - beganMs })
    })
  })
  return await promise
}

/** Follows the task's events until it is paused; false when it is not in time. @param sinceMs  since the epoch */
async function untilPaused(task: string, sinceMs: number): Promise<boolean> {
  const args = ['events', '--follow', '--json', '--task', task]
  const events = spawn(QUIVER, args, { timeout: PAUSE_TIMEOUT_MS })
  for await (const line of createInterface(events.stdout)) {
    const event: { readonly type: string; readonly atMs: number } = JSON.parse(line)
    // What is kept of earlier nodes comes first.
    if (event.type !== 'instancePaused' || event.atMs < sinceMs) continue
    events.kill()
    return true
  }
  return false
}

function formatMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`
}

process.exitCode = await main()
