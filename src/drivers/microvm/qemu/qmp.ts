/**
 * A client of the QEMU machine protocol (docs/interop/qmp-spec of QEMU): one JSON object a line, commands answered in order.
 *
 * QEMU is as trusted as its guest. Lines are bounded in length and number, answers are matched by their id, whatever is not
 * understood is skipped, and a peer that breaks the rules loses its connection. Nothing here knows what commands mean.
 */

import { Socket } from 'node:net'

import { errnoOf, QuiverError } from '../../../core/error.ts'
import { connectStream, send } from '../../../fds/fds.ts'

const LINE_BYTES_MAX = 256 * 1024
/** A guest makes QEMU send events; this many of them serve no purpose. */
const LINES_PER_SECOND_MAX = 2000
const ERROR_TEXT_LENGTH_MAX = 500

export interface QmpEvent {
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
}

interface Waiting {
  readonly command: string
  readonly settle: (outcome: unknown) => void
}

export class QmpClient implements AsyncDisposable {
  /** Resolves when the connection has ended. Never rejects. */
  readonly closed: Promise<Error | undefined>
  readonly #fd: number
  readonly #socket: Socket
  readonly #timeoutMs: number
  readonly #waiting = new Map<string, Waiting>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #greeted = Promise.withResolvers<void>()
  #idLast = 0
  #pending: Buffer[] = []
  #pendingBytes = 0
  #lines = 0
  #linesSinceMs = 0
  #ended: Error | undefined

  private constructor(fd: number, timeoutMs: number) {
    this.#fd = fd
    this.#timeoutMs = timeoutMs
    this.#socket = new Socket({ fd, readable: true, writable: true })
    this.#greeted.promise.catch(() => {})
    const closed = Promise.withResolvers<Error | undefined>()
    this.closed = closed.promise
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#socket.on('error', (error) => void (this.#ended ??= error))
    this.#socket.on('close', () => {
      this.#end()
      closed.resolve(this.#ended)
    })
  }

  /**
   * @param timeoutMs  for each answer
   * @throws QuiverError `unavailable/MACHINE_GONE`, `deadline_exceeded/MACHINE_SILENT`
   */
  static async connect(path: string, timeoutMs: number): Promise<QmpClient> {
    const client = new QmpClient(dial(path), timeoutMs)
    try {
      await client.#within(client.#greeted.promise, 'its greeting')
      await client.execute('qmp_capabilities')
      return client
    } catch (thrown) {
      await client[Symbol.asyncDispose]()
      throw thrown
    }
  }

  /**
   * @param fds  passed along with the command
   * @returns    what QEMU returned, of any shape
   * @throws QuiverError as `MachineControl` says
   */
  async execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    fds: readonly number[] = [],
  ): Promise<unknown> {
    if (this.#isEnded) throw gone(this.#ended)
    const id = String(++this.#idLast)
    const answered = Promise.withResolvers<unknown>()
    const settle = (outcome: unknown): void => {
      if (outcome instanceof QuiverError) answered.reject(outcome)
      else answered.resolve(outcome)
    }
    this.#waiting.set(id, { command, settle })
    const bytes = Buffer.from(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    if (fds.length === 0) this.#socket.write(bytes)
    else this.#sendWith(bytes, fds, id)
    try {
      return await this.#within(answered.promise, command)
    } finally {
      this.#waiting.delete(id)
    }
  }

  /** The first event that `isWanted` says yes to; listen before the command that causes it. */
  async waitFor(isWanted: (event: QmpEvent) => boolean, what: string): Promise<QmpEvent> {
    const seen = Promise.withResolvers<QmpEvent>()
    const listener = (event: QmpEvent): void => {
      if (isWanted(event)) seen.resolve(event)
    }
    this.#listeners.add(listener)
    const ended = this.closed.then((why) => Promise.reject(gone(why)))
    // Nobody looks at it any more once the event is there.
    ended.catch(() => {})
    try {
      return await this.#within(Promise.race([seen.promise, ended]), what)
    } finally {
      this.#listeners.delete(listener)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  get #isEnded(): boolean {
    return this.#socket.destroyed
  }

  /** Descriptors go with their bytes: past the stream, which has nothing waiting between commands. */
  #sendWith(bytes: Buffer, fds: readonly number[], id: string): void {
    try {
      const isSent = this.#socket.writableLength === 0 && send(this.#fd, bytes, fds)
      if (!isSent) throw new Error('the socket is full')
    } catch (thrown) {
      this.#waiting.get(id)?.settle(gone(thrown))
      this.#fail(thrown instanceof Error ? thrown : new Error(String(thrown)))
    }
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      late.reject(silent(what, this.#timeoutMs))
      this.#fail(new Error(`no answer to ${what}`))
    }, this.#timeoutMs)
    try {
      return await Promise.race([promise, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #receive(chunk: Buffer): void {
    let rest = chunk
    for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
      this.#pending.push(rest.subarray(0, at))
      const line = Buffer.concat(this.#pending)
      this.#pending = []
      this.#pendingBytes = 0
      rest = rest.subarray(at + 1)
      if (!this.#isAllowed(line.length)) return
      this.#handle(line)
    }
    if (rest.length === 0) return
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
    this.#isAllowed(this.#pendingBytes)
  }

  #isAllowed(bytes: number): boolean {
    if (this.#isEnded) return false
    const now = performance.now()
    if (now - this.#linesSinceMs > 1000) {
      this.#linesSinceMs = now
      this.#lines = 0
    }
    this.#lines += 1
    if (bytes <= LINE_BYTES_MAX && this.#lines <= LINES_PER_SECOND_MAX) return true
    this.#fail(new Error('QEMU sent more than is allowed'))
    return false
  }

  #handle(line: Buffer): void {
    const message = parseObject(line)
    if (message === undefined) return this.#fail(new Error('QEMU sent a line that is not JSON'))
    if ('QMP' in message) return this.#greeted.resolve()
    if (typeof message['event'] === 'string') {
      const data = isObject(message['data']) ? message['data'] : {}
      for (const listener of this.#listeners) listener({ name: message['event'], data })
      return undefined
    }
    const waiting = this.#waiting.get(String(message['id']))
    if (waiting === undefined) return undefined
    if (!('error' in message)) return waiting.settle(message['return'])
    return waiting.settle(refused(waiting.command, message['error']))
  }

  #fail(why: Error): void {
    this.#ended ??= why
    this.#socket.destroy()
  }

  #end(): void {
    const error = gone(this.#ended)
    this.#greeted.reject(error)
    for (const { settle } of this.#waiting.values()) settle(error)
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseObject(line: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function dial(path: string): number {
  try {
    return connectStream(path)
  } catch (thrown) {
    throw errnoOf(thrown) === undefined ? thrown : gone(thrown)
  }
}

function gone(cause: unknown): QuiverError {
  return new QuiverError('unavailable', 'MACHINE_GONE', 'the virtual machine is not there', {
    hint: 'See "quiver ps" for whether the instance still runs.',
    ...(cause === undefined ? {} : { cause }),
  })
}

function silent(what: string, timeoutMs: number): QuiverError {
  const message = `the virtual machine did not answer within ${timeoutMs / 1000} s (${what})`
  return new QuiverError('deadline_exceeded', 'MACHINE_SILENT', message, {
    hint: 'The machine of the node may be overloaded: see "quiver top".',
  })
}

function refused(command: string, error: unknown): QuiverError {
  const said = isObject(error) ? String(error['desc']).slice(0, ERROR_TEXT_LENGTH_MAX) : ''
  const message = `the virtual machine refused "${command}": ${said}`
  return new QuiverError('failed_precondition', 'MACHINE_REFUSED', message, {
    hint: 'Run "quiver doctor" to see whether its QEMU is one that Quiver knows.',
  })
}
