/** Starts `ainit supervise` as a child of a test, with everything it leaves ended and removed afterwards. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'

export const AINIT = path.join(import.meta.dirname, '../../native/build/ainit')
const SUPERVISED = path.join(import.meta.dirname, 'supervised.ts')

export const serve = [`arg=${process.execPath}`, `arg=${SUPERVISED}`]

/** Records of a process that runs a line of shell. */
export const shell = (line: string): readonly string[] => ['arg=/bin/sh', 'arg=-c', `arg=${line}`]

export async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp('/tmp/quiver-sup-')
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export function toBytes(records: readonly string[]): Buffer {
  return Buffer.from(`${records.join('\0')}\0\0`)
}

/** A running (or failing) supervisor, and all it has said. */
export class Supervised {
  readonly child: ChildProcess
  readonly folder: string
  readonly exited: Promise<number | string>
  readonly #waiting = new Set<() => void>()
  #said = ''

  constructor(child: ChildProcess, folder: string) {
    this.child = child
    this.folder = folder
    this.exited = once(child, 'exit').then(([status, signal]) => status ?? signal)
    child.stderr?.on('data', (data: Buffer) => {
      this.#said += data.toString()
      for (const check of this.#waiting) check()
    })
  }

  get said(): string {
    return this.#said
  }

  get pid(): number {
    assert.ok(this.child.pid !== undefined)
    return this.child.pid
  }

  /** Resolves with the match once stderr has it `times` times: the last of them. */
  async says(pattern: RegExp, times = 1): Promise<RegExpExecArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>()
    const check = (): void => {
      const match = [...this.#said.matchAll(new RegExp(pattern, 'g'))][times - 1]
      if (match !== undefined) resolve(match)
    }
    this.#waiting.add(check)
    this.child.once('close', () => reject(new Error(`it never said ${pattern}: ${this.#said}`)))
    check()
    const match = await promise
    this.#waiting.delete(check)
    return match
  }

  /** The pid of the newest process of that name, once it was started `times` times. */
  async pidOf(name: string, times = 1): Promise<number> {
    const [, pid] = await this.says(new RegExp(`${name} started pid=(\\d+)`), times)
    return Number(pid)
  }

  async addressOf(name: string): Promise<string> {
    await this.says(/ started pid=/)
    const lines = (await readFile(path.join(this.folder, 'ready'), 'utf8')).split('\n')
    return lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? ''
  }

  async end(): Promise<number | string> {
    this.child.kill('SIGTERM')
    return this.exited
  }
}

/** Starts with `lock` and `ready` in a folder of its own, and the given records. */
export async function supervise(
  t: TestContext,
  records: readonly string[],
  folder?: string,
): Promise<Supervised> {
  const place = folder ?? (await openFolder(t))
  const common = [`lock=${place}/lock`, `ready=${place}/ready`]
  return superviseBytes(t, toBytes([...common, ...records]), place)
}

export async function superviseBytes(
  t: TestContext,
  bytes: Uint8Array,
  folder: string,
): Promise<Supervised> {
  const file = path.join(folder, `supervise.${Math.random()}`)
  await writeFile(file, bytes)
  const child = spawn(AINIT, ['supervise', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  const supervised = new Supervised(child, folder)
  t.after(async () => {
    child.kill('SIGTERM')
    await supervised.exited
  })
  return supervised
}

/** Connects to `127.0.0.1:80`, `[::1]:80` or a path, and reads to the end. */
export async function ask(address: string): Promise<string> {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replaceAll(/[[\]]/g, '')
  const socket = address.startsWith('/')
    ? connect(address)
    : connect(Number(address.slice(colon + 1)), host)
  const answer = await text(socket)
  socket.destroy()
  return answer
}

/** What a process has open: nothing once it has ended, also while nobody has waited for it yet. */
export function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`)
  } catch {
    return []
  }
}
