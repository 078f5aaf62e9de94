/**
 * What `ainit supervise` is told: a typed description, and the records it becomes (docs/internals/ainit.md,
 * "supervise"). Pure; the process is started in supervisor.ts.
 */

import { isIPv4, isIPv6 } from 'node:net'

import { QuiverError } from '../core/error.ts'

export interface Supervision {
  /** Absolute; who holds it is the node. */
  readonly lockPath: string
  /** Absolute; the bound addresses, once all sockets are bound. */
  readonly readyPath: string
  /** Absolute; takes the output of all, and is renamed to `<logPath>.1` when it is large. Else it goes where ours does. */
  readonly logPath?: string
  readonly listen: readonly Listener[]
  /** Started in this order, ended in the opposite one. */
  readonly processes: readonly SupervisedProcess[]
}

/** Names: 1–32 letters, digits, `_` and `-`. */
export type Listener =
  | {
      readonly kind: 'tcp'
      readonly name: string
      /** IPv4 or IPv6, without brackets. */
      readonly address: string
      /** 0: any free one, to be found in `addresses`. */
      readonly port: number
    }
  | {
      readonly kind: 'unix' | 'seqpacket'
      readonly name: string
      /** Absolute, at most 107 bytes. */
      readonly path: string
      readonly mode: number
      readonly gid: number
    }

export interface SupervisedProcess {
  readonly name: string
  /** argv; the first is an absolute path. */
  readonly args: readonly string[]
  /** Beside the supervisor's own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Names of listeners; it finds them from descriptor 3 on, in this order. */
  readonly sockets: readonly string[]
  /** From SIGTERM to SIGKILL, 10,000 unless chosen. */
  readonly stopMs?: number
  readonly oomScore?: number
  /** Dropped to before exec, for good. The program's files must be readable for it. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

const NAME = /^[A-Za-z0-9_-]{1,32}$/
const PATH_BYTES_MAX = 107
const BYTES_MAX = 256 * 1024

/**
 * The specification file. `notify` is the descriptor on which supervise says how its start went.
 *
 * @throws QuiverError `invalid_argument/SUPERVISION_INVALID` naming the value; `failed_precondition/PATH_TOO_LONG`
 */
export function buildSupervision(supervision: Supervision, notify: number): Buffer {
  const names = new Set(supervision.listen.map(({ name }) => name))
  if (names.size !== supervision.listen.length) throw invalid('two sockets have the same name')
  const records = [
    `lock=${checkPath(supervision.lockPath)}`,
    `ready=${checkPath(supervision.readyPath)}`,
    ...(supervision.logPath === undefined ? [] : [`log=${checkPath(supervision.logPath)}`]),
    `notify=${checkNumber('notify', notify)}`,
    ...supervision.listen.map((listener) => `listen=${listenerValue(listener)}`),
    ...supervision.processes.flatMap((process) => processRecords(process, names)),
  ]
  const nul = records.find((record) => record.includes('\0'))
  if (nul !== undefined) throw invalid(`${JSON.stringify(nul)} has a NUL byte`)
  const bytes = Buffer.from(`${records.join('\0')}\0\0`)
  if (bytes.length <= BYTES_MAX) return bytes
  throw invalid(`it is ${bytes.length} bytes long, more than ${BYTES_MAX}`)
}

function listenerValue(listener: Listener): string {
  const name = checkName(listener.name)
  if (listener.kind === 'tcp') return `${name} tcp ${hostOf(listener)}:${portOf(listener)}`
  const path = checkPath(listener.path)
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new QuiverError(
      'failed_precondition',
      'PATH_TOO_LONG',
      `${path} is longer than the ${PATH_BYTES_MAX} bytes that a socket's path may have`,
      { hint: 'Choose a shorter folder with --data or XDG_RUNTIME_DIR.' },
    )
  }
  const mode = checkNumber('mode', listener.mode, 0o777).toString(8).padStart(4, '0')
  return `${name} ${listener.kind} ${path} ${mode} ${checkNumber('gid', listener.gid)}`
}

function hostOf({ address }: { readonly address: string }): string {
  if (isIPv4(address)) return address
  // No zone: `fe80::1%eth0` is not an address that a node is found at.
  if (isIPv6(address) && !address.includes('%')) return `[${address}]`
  throw invalid(`"${address}" is not an IP address`)
}

function portOf({ port }: { readonly port: number }): number {
  return checkNumber('port', port, 65_535)
}

function processRecords(process: SupervisedProcess, names: ReadonlySet<string>): readonly string[] {
  const { args, env = {}, sockets, stopMs, oomScore, user } = process
  const [program = ''] = args
  const unknown = sockets.find((name) => !names.has(name))
  if (unknown !== undefined) throw invalid(`there is no socket "${unknown}" for ${process.name}`)
  const badName = Object.keys(env).find((name) => name === '' || name.includes('='))
  if (badName !== undefined) throw invalid(`"${badName}" is not the name of a variable`)
  checkPath(program)
  const numbers = { stop_ms: stopMs, uid: user?.uid, gid: user?.gid }
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined)
  return [
    `process=${checkName(process.name)}`,
    ...args.map((arg) => `arg=${arg}`),
    ...Object.entries(env).map(([name, value]) => `env=${name}=${value}`),
    ...sockets.map((name) => `socket=${name}`),
    ...given.map(([key, value = 0]) => `${key}=${checkNumber(key, value)}`),
    ...(oomScore === undefined ? [] : [`oom_score=${oomScore}`]),
  ]
}

function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw invalid(`"${name}" is not a name`)
}

function checkPath(path: string): string {
  if (path.startsWith('/')) return path
  throw invalid(`"${path}" is not an absolute path`)
}

function checkNumber(what: string, value: number, max = 2 ** 32 - 2): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value
  throw invalid(`${what} ${value} is not a whole number up to ${max}`)
}

function invalid(message: string): QuiverError {
  return new QuiverError(
    'invalid_argument',
    'SUPERVISION_INVALID',
    `a node cannot be supervised so: ${message}`,
  )
}
