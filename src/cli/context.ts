/** Everything a command may touch. Commands get it injected; tests pass a fake. */

import type { CommandContext } from '@stricli/core'

import type { Client } from '../client/client.ts'

/** An output: what a `tty.WriteStream` and a test's stream have in common. */
export interface Output {
  write(text: string | Uint8Array): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  on?(event: 'resize', listener: () => void): unknown
  once?(event: 'drain', listener: () => void): unknown
  off?(event: 'resize', listener: () => void): unknown
}

export type Input = NodeJS.ReadableStream & {
  readonly isTTY?: boolean
  setRawMode?(isRaw: boolean): unknown
  unref?(): unknown
}

export interface CliContext extends CommandContext {
  readonly process: {
    readonly stdout: Output
    readonly stderr: Output
    readonly env: Readonly<Record<string, string | undefined>>
    exitCode?: number | string | null
  }
  readonly stdin: Input
  /** Where relative paths begin. */
  readonly folder: string
  /** Aborted by the first Ctrl-C, unless a command takes signals itself. */
  readonly signal: AbortSignal
  /** From now on calls `listener` instead of aborting `signal`. Undone by disposing what it returns. */
  takeSignals(listener: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void): Disposable
  /** The node that `--host` or `QUIVER_HOST` names, else the one of this machine. */
  openClient(): Promise<Client>
  /** Starts a node on this machine; the composition is the daemon's. */
  startNode(options: StartOptions, signal: AbortSignal): Promise<StartedNode>
}

export interface StartOptions {
  /** Settings by dotted name. */
  readonly flags: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isDetached: boolean
}

export interface StartedNode {
  readonly warnings: readonly string[]
  readonly supervisor: {
    readonly pid: number
    readonly addresses: ReadonlyMap<string, string>
    readonly exited: Promise<number>
    kill(signal: 'SIGTERM' | 'SIGHUP'): void
  }
}
