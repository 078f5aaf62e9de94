/**
 * Starts real instances with the real `ainit` and bubblewrap, and speaks the protocol of docs/internals/ainit.md to them.
 *
 * It knows no driver: it is what the tests of ainit itself need, with the host's files as the instance's root.
 */

import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Duplex } from 'node:stream'

import {
  encodeFrame,
  encodeRecords,
  FRAME,
  FrameDecoder,
  type Frame,
} from '../../src/core/frames.ts'

const ROOT = path.join(import.meta.dirname, '../..')

export const isRoot = process.getuid?.() === 0
/** Far from what a node uses. */
export const UID = 200_901

type Records = readonly (readonly [key: string, value: string])[]

/** A folder that any uid can reach, with ainit and the probe in it. */
export class Workshop implements Disposable {
  readonly folder: string
  readonly ainit: string
  readonly probe: string
  #count = 0

  /** @param options.isSanitized  ainit is built so that it ends, and says why, when it does what C does not define */
  constructor({ isSanitized = false } = {}) {
    if (!isSanitized) {
      execFileSync(path.join(ROOT, 'scripts/build-native'), ['ainit'], {
        stdio: ['ignore', 'ignore', 'inherit'],
      })
    }
    this.folder = mkdtempSync(path.join(tmpdir(), 'ainit-'))
    chmodSync(this.folder, 0o711)
    this.ainit = path.join(this.folder, 'ainit')
    this.probe = path.join(this.folder, 'probe')
    if (isSanitized) buildSanitized(this.ainit)
    else copyFileSync(path.join(ROOT, 'native/build/ainit'), this.ainit)
    const source = path.join(import.meta.dirname, 'probe.c')
    execFileSync(process.env['CC'] ?? 'cc', [
      '-std=gnu11',
      '-O1',
      '-static',
      '-o',
      this.probe,
      source,
    ])
  }

  /** A fresh folder for one instance. */
  makeFolder(): string {
    const folder = path.join(this.folder, `i${this.#count++}`)
    mkdirSync(folder, { mode: 0o711 })
    return folder
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function buildSanitized(target: string): void {
  const folder = path.join(ROOT, 'native/ainit')
  const sources = readdirSync(folder).filter((name) => name.endsWith('.c'))
  const options = '-std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -o'
  const files = sources.map((name) => path.join(folder, name))
  execFileSync(process.env['CC'] ?? 'cc', [...options.split(' '), target, ...files])
}

export interface InstanceOptions {
  /** argv; the first is also the program. Default: `probe pause`. */
  readonly args?: readonly string[]
  /** Records beside the usual ones. */
  readonly records?: Records
  /** Options of bwrap beside the usual ones. */
  readonly bwrap?: readonly string[]
  readonly folder?: string
  /** Replaces the usual root. */
  readonly root?: readonly string[]
  /** What PID 1 is. Default: `init`. */
  readonly command?: 'init' | 'vm'
}

export class Instance implements AsyncDisposable {
  readonly folder: string
  readonly socketPrefix: string
  /** What `launch` said. */
  readonly answer: string
  /** Exit status of bwrap, hence of PID 1. */
  readonly ended: Promise<number>
  readonly pid: number
  readonly #child: ChildProcess
  readonly #connections: Connection[] = []

  private constructor(folder: string, child: ChildProcess, answer: string) {
    this.folder = folder
    this.socketPrefix = path.join(folder, 's')
    this.answer = answer
    this.#child = child
    this.pid = child.pid ?? 0
    this.ended =
      child.exitCode === null
        ? once(child, 'exit').then(([status]) => Number(status))
        : Promise.resolve(child.exitCode)
  }

  static async start(workshop: Workshop, options: InstanceOptions = {}): Promise<Instance> {
    const folder = options.folder ?? workshop.makeFolder()
    const args = options.args ?? ['/tmp/probe', 'pause']
    const inside = options.root === undefined ? '/tmp' : ''
    const bwrap = [
      ...words(
        'bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --uid 1000 --gid 1000 --as-pid-1',
      ),
      ...(options.root ?? words('--ro-bind / / --tmpfs /tmp')),
      ...words(`--proc /proc --dev /dev --ro-bind ${workshop.ainit} ${inside}/.ainit`),
      ...words(`--ro-bind ${workshop.probe} /tmp/probe`),
      ...(options.bwrap ?? []),
      ...words(`-- ${inside}/.ainit ${options.command ?? 'init'}`),
    ]
    const identity: Records = [
      ['uid', String(UID)],
      ['gid', String(UID)],
    ]
    const records: Records = [
      ['id', 'test'],
      ['dir', folder],
      ['socket', path.join(folder, 's')],
      ['netns', '1'],
      ...(isRoot ? identity : []),
      ...bwrap.map((word) => ['bwrap', word] as const),
      ['program', args[0] ?? ''],
      ...args.map((arg) => ['arg', arg] as const),
      ['env', 'PATH=/usr/bin:/bin'],
      ...(options.records ?? []),
    ]
    const log = openSync(path.join(folder, 'launch.log'), 'w')
    const child = spawn(workshop.ainit, ['launch'], {
      detached: true,
      env: {},
      stdio: ['ignore', 'ignore', log, 'pipe'],
    })
    closeSync(log)
    const channel = child.stdio[3]
    assert.ok(channel instanceof Duplex)
    channel.on('error', () => {})
    channel.write(encodeRecords(records))
    let answer = ''
    for await (const chunk of channel) {
      answer += String(chunk)
      if (answer.endsWith('\n')) break
    }
    return new Instance(folder, child, answer)
  }

  async connect(...first: readonly Buffer[]): Promise<Connection> {
    const socket = connect(`${this.socketPrefix}.c`)
    await once(socket, 'connect')
    const connection = new Connection(socket)
    this.#connections.push(connection)
    for (const frame of first) socket.write(frame)
    return connection
  }

  /** A connection that has asked for all events. */
  watch(): Promise<Connection> {
    return this.connect(encodeFrame(FRAME.WATCH))
  }

  exec(
    args: readonly string[],
    records: Records = [['program', args[0] ?? '']],
  ): Promise<Connection> {
    const payload = encodeRecords([
      ...records,
      ...args.map((arg) => ['arg', arg] as const),
      ['env', 'PATH=/usr/bin:/bin'],
    ])
    return this.connect(encodeFrame(FRAME.EXEC, payload))
  }

  attach(kind: 'primary' | 'observer'): Promise<Connection> {
    return this.connect(encodeFrame(FRAME.ATTACH, Uint8Array.of(kind === 'primary' ? 1 : 0)))
  }

  /** Ends PID 1 as an operator might; the instance must have told an event. */
  killPid1(): void {
    const pid = findPid1(this.pid)
    assert.ok(pid !== undefined, 'PID 1 is not there')
    process.kill(pid, 'SIGKILL')
  }

  readOut(file: string): Buffer {
    const full = path.join(this.folder, 'out', file)
    return existsSync(full) ? readFileSync(full) : Buffer.alloc(0)
  }

  /** All that the task wrote, stdout and stderr, as the log has it. */
  readOutput(): string {
    const records = [...parseLog(this.readOut('log.1')), ...parseLog(this.readOut('log'))]
    return Buffer.concat(
      records.filter(({ stream }) => stream !== 3).map(({ bytes }) => bytes),
    ).toString()
  }

  get launchLog(): string {
    return readFileSync(path.join(this.folder, 'launch.log'), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.close()
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      // Killing bwrap's monitor alone would leave the namespace behind.
      const pid = findPid1(this.pid) ?? this.pid
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended just now.
      }
      await this.ended
    }
  }
}

/**
 * PID 1 of an instance as the host sees it: the child of bwrap's monitor. It is there for sure once an event came.
 */
export function findPid1(monitor: number): number | undefined {
  const children = readFileSync(`/proc/${monitor}/task/${monitor}/children`, 'utf8').trim()
  return children === '' ? undefined : Number(children.split(' ')[0])
}

function words(text: string): readonly string[] {
  return text.split(' ')
}

/** One control connection: frames can be awaited, in order. */
export class Connection {
  readonly socket: Socket
  readonly closed: Promise<void>
  readonly #decoder = new FrameDecoder()
  readonly #frames: Frame[] = []
  #wake = Promise.withResolvers<void>()
  #isClosed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      this.#frames.push(...this.#decoder.push(chunk))
      this.#notify()
    })
    const closed = Promise.withResolvers<void>()
    this.closed = closed.promise
    // Also after an error, which `once` would make of it.
    socket.on('close', () => {
      this.#isClosed = true
      this.#notify()
      closed.resolve()
    })
  }

  send(type: number, payload: Uint8Array | string = ''): void {
    this.socket.write(encodeFrame(type, payload))
  }

  /** The next frame; `undefined` when the connection is closed. */
  async next(): Promise<Frame | undefined> {
    while (this.#frames.length === 0) {
      if (this.#isClosed) return undefined
      await this.#wake.promise
    }
    return this.#frames.shift()
  }

  /** The next event that begins with `prefix`; fails when the connection ends before. */
  async event(prefix: string): Promise<string> {
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) {
      const text = frame.payload.toString()
      if (frame.type === FRAME.EVENT && text.startsWith(prefix)) return text
    }
    return assert.fail(`the connection ended before an event "${prefix}"`)
  }

  /** All output up to EXIT, ERROR or the end of the connection. */
  async finish(): Promise<Finished> {
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    for (let frame = await this.next(); frame !== undefined; frame = await this.next()) {
      if (frame.type === FRAME.STDOUT) stdout.push(frame.payload)
      if (frame.type === FRAME.STDERR) stderr.push(frame.payload)
      if (frame.type === FRAME.ERROR)
        return summarise(stdout, stderr, undefined, frame.payload.toString())
      if (frame.type === FRAME.EXIT)
        return summarise(stdout, stderr, frame.payload.readInt32LE(0), undefined)
    }
    return summarise(stdout, stderr, undefined, undefined)
  }

  /** Reads output until it holds `text`. */
  async until(text: string): Promise<string> {
    let seen = ''
    while (!seen.includes(text)) {
      const frame = await this.next()
      assert.ok(frame !== undefined, `the connection ended; seen: ${JSON.stringify(seen)}`)
      assert.notEqual(frame.type, FRAME.EXIT, `it ended; seen: ${JSON.stringify(seen)}`)
      seen += frame.payload.toString()
    }
    return seen
  }

  close(): void {
    this.socket.destroy()
  }

  #notify(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }
}

export interface Finished {
  readonly stdout: string
  readonly stderr: string
  readonly status: number | undefined
  readonly error: string | undefined
}

function summarise(
  stdout: readonly Buffer[],
  stderr: readonly Buffer[],
  status: number | undefined,
  error: string | undefined,
): Finished {
  return {
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
    status,
    error,
  }
}

/** One record of `out/log`. */
export interface LogRecord {
  readonly atNs: bigint
  readonly stream: number
  readonly bytes: Buffer
}

/** Fails on anything that is not whole records. */
export function parseLog(bytes: Buffer): readonly LogRecord[] {
  const records: LogRecord[] = []
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 9)
    assert.ok(at + 13 + length <= bytes.length, 'a record is cut off')
    records.push({
      atNs: bytes.readBigUInt64LE(at),
      stream: bytes.readUInt8(at + 8),
      bytes: bytes.subarray(at + 13, at + 13 + length),
    })
    at += 13 + length
  }
  return records
}

/** Gives a path to the uid that instances run as. */
export function giveAway(target: string): void {
  if (isRoot) chownSync(target, UID, UID)
}
