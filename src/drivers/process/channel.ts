/**
 * One connection to the control socket of an ainit: events of the instance, signals, sessions.
 *
 * It speaks the protocol of docs/internals/ainit.md and knows nothing of how the instance was made.
 */

import { connect, type Socket } from 'node:net'
import { PassThrough, Writable } from 'node:stream'

import { QuiverError } from '../../core/error.ts'
import {
  encodeFrame,
  encodeRecords,
  encodeResize,
  encodeU32,
  FRAME,
  FrameDecoder,
  FRAME_PAYLOAD_BYTES_MAX,
  type Frame,
} from '../../core/frames.ts'
import type { ExecRequest, Session } from '../driver.ts'

/** An event of ainit: `listen t=… port=…` becomes `{ name: 'listen', fields: { t, port } }`. */
export interface AinitEvent {
  readonly name: string
  readonly fields: Readonly<Record<string, string>>
}

/** Connects and asks for all events, past and future. */
export async function watchEvents(
  path: string,
  onEvent: (event: AinitEvent) => void,
  onClose: () => void,
): Promise<Channel> {
  const socket = await dial(path)
  const decoder = new FrameDecoder()
  socket.on('data', (chunk: Buffer) => {
    for (const { type, payload } of decodeOrDestroy(socket, decoder, chunk)) {
      if (type === FRAME.EVENT) onEvent(parseEvent(payload.toString()))
    }
  })
  socket.on('error', () => {})
  socket.on('close', onClose)
  socket.write(encodeFrame(FRAME.WATCH))
  return new Channel(socket)
}

/**
 * Has a machine stand still, to be saved; it says nothing until the connection is closed.
 *
 * @throws QuiverError `unavailable/INSTANCE_GONE` when it ends instead
 */
export async function standStill(path: string): Promise<Disposable> {
  const still = Promise.withResolvers<void>()
  const socket = await dial(path)
  const decoder = new FrameDecoder()
  socket.on('data', (chunk: Buffer) => {
    for (const { type, payload } of decodeOrDestroy(socket, decoder, chunk)) {
      if (type === FRAME.EVENT && parseEvent(payload.toString()).name === 'frozen') still.resolve()
    }
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    still.reject(new QuiverError('unavailable', 'INSTANCE_GONE', 'the machine ended'))
  })
  socket.write(encodeFrame(FRAME.FREEZE))
  await still.promise
  return { [Symbol.dispose]: () => socket.destroy() }
}

export class Channel implements Disposable {
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
  }

  signal(signal: number): void {
    this.#socket.write(encodeFrame(FRAME.SIGNAL, encodeU32(signal)))
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

/** Runs another process in the instance, in the folder `workdir` there, as the stdio of a connection of its own. */
export async function openExec(
  path: string,
  workdir: string,
  request: ExecRequest,
): Promise<Session> {
  const [program = ''] = request.args
  const { terminal } = request
  const records: (readonly [string, string])[] = [
    request.isLent ? ['lend', '1'] : ['program', program],
    ...request.args.map((arg) => ['arg', arg] as const),
    ...Object.entries(request.env).map(([name, value]) => ['env', `${name}=${value}`] as const),
    ['workdir', workdir],
    ...(terminal === null ? [] : [['terminal', `${terminal.rows}:${terminal.columns}`] as const]),
  ]
  const payload = encodeRecords(records)
  if (payload.length > FRAME_PAYLOAD_BYTES_MAX) {
    throw new QuiverError(
      'invalid_argument',
      'ARGUMENTS_TOO_LONG',
      'the command line and the environment are too long',
      {
        hint: 'Keep both together below 64 KiB; the environment is that of the program.',
      },
    )
  }
  return new StdioSession(await dial(path), encodeFrame(FRAME.EXEC, payload))
}

/**
 * Joins the stdio of the task's own process.
 *
 * @param isReleasing  starts a task that is held; on this very connection, so that it cannot end before it is joined
 */
export async function openAttach(
  path: string,
  isPrimary: boolean,
  isReleasing: boolean,
): Promise<Session> {
  const attach = encodeFrame(FRAME.ATTACH, Uint8Array.of(isPrimary ? 1 : 0))
  const first = isReleasing ? Buffer.concat([attach, encodeFrame(FRAME.START)]) : attach
  return new StdioSession(await dial(path), first)
}

class StdioSession implements Session {
  readonly stdin: Writable
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly status: Promise<number>
  readonly #socket: Socket
  readonly #status = Promise.withResolvers<number>()
  readonly #decoder = new FrameDecoder()

  constructor(socket: Socket, first: Buffer) {
    this.#socket = socket
    this.status = this.#status.promise
    // Nobody may be waiting for the status when the connection is lost.
    this.status.catch(() => {})
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        for (let at = 0; at < chunk.length; at += FRAME_PAYLOAD_BYTES_MAX) {
          const part = chunk.subarray(at, at + FRAME_PAYLOAD_BYTES_MAX)
          socket.write(encodeFrame(FRAME.STDIN, part))
        }
        if (socket.writableNeedDrain) socket.once('drain', () => done())
        else done()
      },
      final: (done) => {
        socket.write(encodeFrame(FRAME.STDIN_EOF))
        done()
      },
    })
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#close())
    socket.write(first)
  }

  resize(rows: number, columns: number): void {
    this.#socket.write(encodeResize(rows, columns))
  }

  signal(signal: number): void {
    this.#socket.write(encodeFrame(FRAME.KILL_SESSION, encodeU32(signal)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    for (const frame of decodeOrDestroy(this.#socket, this.#decoder, chunk)) this.#handle(frame)
  }

  #handle({ type, payload }: Frame): void {
    if (type === FRAME.STDOUT) this.#output(this.stdout, payload)
    if (type === FRAME.STDERR) this.#output(this.stderr, payload)
    if (type === FRAME.EXIT) this.#status.resolve(payload.readInt32LE(0))
    if (type === FRAME.ERROR) this.#status.reject(sessionError(payload.toString()))
    // Both are the last frame. The instance waits for us to hang up; closing ends the outputs behind what they hold.
    if (type === FRAME.EXIT || type === FRAME.ERROR) this.#socket.destroy()
  }

  /** Stops reading from the instance while the reader is behind. */
  #output(stream: PassThrough, bytes: Buffer): void {
    if (stream.write(bytes)) return
    this.#socket.pause()
    stream.once('drain', () => this.#socket.resume())
  }

  #close(): void {
    this.stdout.end()
    this.stderr.end()
    this.stdin.destroy()
    this.#status.reject(
      new QuiverError('unavailable', 'SESSION_LOST', 'the connection to the instance was lost', {
        hint: 'See "quiver ps" for whether the instance still runs.',
      }),
    )
  }
}

const EXEC_FAILURES: Readonly<Record<string, string>> = {
  '2': 'no such program in the instance',
  '8': 'not an executable format',
  '13': 'permission denied',
}

function sessionError(text: string): QuiverError {
  const { fields } = parseEvent(`error ${text}`)
  const why = EXEC_FAILURES[fields['errno'] ?? ''] ?? text
  return new QuiverError(
    'failed_precondition',
    'EXEC_FAILED',
    `the command could not be run: ${why}`,
    {
      hint: 'Programs of the host are not visible inside: name one of the image, or use "sh" for the lent shell.',
    },
  )
}

/** Steps of an `error` that tell of the machine around the program, which may have run for long. */
const MACHINE_STEPS: ReadonlySet<string> = new Set(['boot', 'machine', 'channel'])

/** Not the program has failed, but the machine that it is in. */
export function isMachineFailure({ name, fields }: AinitEvent): boolean {
  return name === 'error' && MACHINE_STEPS.has(fields['step'] ?? '')
}

export function parseEvent(text: string): AinitEvent {
  const [name = '', ...pairs] = text.trim().split(' ')
  const fields: Record<string, string> = {}
  for (const [index, pair] of pairs.entries()) {
    const at = pair.indexOf('=')
    const key = pair.slice(0, at)
    // Free text comes last and keeps its spaces.
    if (key === 'text') {
      fields[key] = [pair.slice(at + 1), ...pairs.slice(index + 1)].join(' ')
      break
    }
    if (at > 0) fields[key] = pair.slice(at + 1)
  }
  return { name, fields }
}

function decodeOrDestroy(socket: Socket, decoder: FrameDecoder, chunk: Buffer): readonly Frame[] {
  try {
    return decoder.push(chunk)
  } catch (error) {
    socket.destroy(QuiverError.from(error))
    return []
  }
}

function dial(path: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const socket = connect(path)
  const refuse = (cause: Error) =>
    reject(
      new QuiverError('unavailable', 'INSTANCE_GONE', 'the instance does not answer', { cause }),
    )
  socket.once('error', refuse)
  socket.once('connect', () => {
    socket.off('error', refuse)
    resolve(socket)
  })
  return promise
}
