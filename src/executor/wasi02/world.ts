/** What one guest of WASI 0.2 has of the world: made for each request or run by whoever runs it. */

import type { ByteSink, ByteSource } from '../wasi/streams.ts'
import type { Preopen } from '../wasi/wasi.ts'

import type { SendRequest } from './http-client.ts'
import { InputStream, OutputStream } from './io.ts'

export interface WorldOptions {
  /** The first is the name of the program. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** They stay open when the guest drops its handles: it may ask for them again. */
  readonly stdin: ByteSource
  readonly stdout: ByteSink
  readonly stderr: ByteSink
  /** Folders and the absolute names that the guest knows them by. */
  readonly preopens?: readonly Preopen[]
  /** Files and folders that are open at the same time. */
  readonly filesMax: number
  /** Outgoing requests are denied without. */
  readonly send?: SendRequest
  readonly answerBytesMax: number
  /** Must not throw. */
  readonly log: (level: string, context: string, message: string) => void
}

export class World {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly terminals: {
    readonly stdin: boolean
    readonly stdout: boolean
    readonly stderr: boolean
  }
  readonly preopens: readonly Preopen[]
  readonly send: SendRequest | undefined
  readonly log: WorldOptions['log']
  readonly answerBytesMax: number
  /** How many more files the guest may open. */
  filesLeft: number

  constructor(options: WorldOptions) {
    const { stdin, stdout, stderr } = options
    this.args = options.args
    this.env = options.env
    this.stdin = new InputStream({ read: (bytesMax) => stdin.read(bytesMax) })
    this.stdout = new OutputStream({ write: (bytes) => stdout.write(bytes) })
    this.stderr = new OutputStream({ write: (bytes) => stderr.write(bytes) })
    this.terminals = {
      stdin: stdin.isTerminal === true,
      stdout: stdout.isTerminal === true,
      stderr: stderr.isTerminal === true,
    }
    this.preopens = options.preopens ?? []
    this.filesLeft = options.filesMax
    this.send = options.send
    this.log = options.log
    this.answerBytesMax = options.answerBytesMax
  }
}
