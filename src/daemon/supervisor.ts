/**
 * Starts `ainit supervise` and learns how that went. The supervisor, not this process, holds the sockets of a node and
 * restarts its processes; it lives on when this process ends.
 */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'

import { QuiverError } from '../core/error.ts'

import { buildSupervision, type Supervision } from './supervision.ts'

/** Where supervise writes one line: `ready`, or `error …`. */
const NOTIFY = 3

export interface SupervisorOptions {
  readonly ainit: string
  /** Where the specification is written (mode 0600: it may hold secrets in `env`). */
  readonly specificationPath: string
  readonly supervision: Supervision
  /**
   * `foreground`: shares our terminal, and so its Ctrl-C; whoever started it waits for `exited`, and passes SIGTERM and
   * SIGHUP on as SIGTERM (SIGHUP means "upgrade control" to a supervisor).
   * `detached`: a session of its own, all output in the log of the supervision; we may end at once.
   */
  readonly mode: 'foreground' | 'detached'
}

export interface Supervisor {
  readonly pid: number
  /** Where each listener is: `127.0.0.1:43121`, `[::1]:8080` or a path. */
  readonly addresses: ReadonlyMap<string, string>
  /** Resolves when it ends, with its exit status: 0 after SIGTERM or SIGINT. Never rejects. */
  readonly exited: Promise<number>
  readonly kill: (signal: 'SIGTERM' | 'SIGHUP') => void
}

/**
 * Starts the node and resolves once every socket is bound. The processes are only being started then.
 *
 * @throws QuiverError `already_exists/NODE_RUNNING` naming the pid; `failed_precondition/PORT_IN_USE`,
 *   `permission_denied/PORT_NOT_PERMITTED`, `failed_precondition/ADDRESS_UNAVAILABLE` or `unavailable/LISTEN_FAILED`
 *   naming the address; `failed_precondition/NATIVE_MISSING`; those of `buildSupervision`; whatever `signal` aborts with
 */
export async function startSupervisor(
  options: SupervisorOptions,
  signal: AbortSignal,
): Promise<Supervisor> {
  signal.throwIfAborted()
  await writeSpecification(options)
  const child = spawnSupervisor(options)
  const exited = exitStatusOf(child)
  const abort = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', abort)
  try {
    const pid = await pidOf(child, options.ainit)
    const line = await readNotification(child)
    if (line !== 'ready') {
      const status = await exited
      signal.throwIfAborted()
      throw failureOf(line, status)
    }
    const addresses = parseReady(await readFile(options.supervision.readyPath, 'utf8'))
    signal.throwIfAborted()
    if (options.mode !== 'foreground') child.unref()
    return { pid, addresses, exited, kill: (name) => void child.kill(name) }
  } catch (thrown) {
    child.kill('SIGTERM')
    await exited
    throw thrown
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The lines `name address` of a ready file. */
export function parseReady(content: string): ReadonlyMap<string, string> {
  const lines = content.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line) => {
      const space = line.indexOf(' ')
      return [line.slice(0, space), line.slice(space + 1)]
    }),
  )
}

async function writeSpecification(options: SupervisorOptions): Promise<void> {
  const bytes = buildSupervision(options.supervision, NOTIFY)
  const temporary = `${options.specificationPath}.${process.pid}`
  await writeFile(temporary, bytes, { mode: 0o600, flag: 'w' })
  await rename(temporary, options.specificationPath)
}

/**
 * For the C library of the processes. Two heaps: one for the event loop, and one for the other threads, which are mostly idle:
 * what passes through the store's thread at a start would leave the event loop's own heap full of holes. And large
 * blocks are returned when they are freed, as glibc does until it has seen one: it then raises both thresholds, and a
 * list of thousands of tasks would be kept for good.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
}

function spawnSupervisor({ ainit, specificationPath, mode }: SupervisorOptions): ChildProcess {
  const args = ['supervise', specificationPath]
  const env = { ...ALLOCATOR, ...process.env }
  if (mode === 'foreground') {
    return spawn(ainit, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'pipe'] })
  }
  return spawn(ainit, args, { env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'], detached: true })
}

async function exitStatusOf(child: ChildProcess): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  child.on('exit', (status, signal) => {
    resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal]))
  })
  child.on('error', () => resolve(127))
  return promise
}

async function pidOf(child: ChildProcess, ainit: string): Promise<number> {
  if (child.pid !== undefined) return child.pid
  const [cause] = await once(child, 'error').catch((thrown: unknown) => [thrown])
  throw new QuiverError('failed_precondition', 'NATIVE_MISSING', `${ainit} cannot be run`, {
    hint: 'Run "npm run build:native".',
    cause,
  })
}

async function readNotification(child: ChildProcess): Promise<string> {
  const stream = child.stdio[NOTIFY]
  if (!(stream instanceof Readable)) return ''
  return (await text(stream)).trim()
}

/** `error status=69 errno=98 name=http address=127.0.0.1:80 text=…`, or nothing when it died without a word. */
function failureOf(line: string, status: number): QuiverError {
  const [, message = `it ended with status ${status}`] = / text=(.*)$/s.exec(line) ?? []
  const [, pid] = /^error status=73 pid=(\d+) /.exec(line) ?? []
  if (pid !== undefined) {
    return new QuiverError(
      'already_exists',
      'NODE_RUNNING',
      `a node runs here already: ${message}`,
      {
        hint: 'Use that one, end it with "quiver down", or give this one another folder with --data.',
        details: { pid: Number(pid) },
      },
    )
  }
  const listen = /^error status=69 errno=(\d+) name=(\S+) address=(.*?) text=/.exec(line)
  if (listen === null) {
    return new QuiverError(
      'internal',
      'SUPERVISOR_FAILED',
      `the supervisor did not start: ${message}`,
    )
  }
  const [, number = '', name = '', address = ''] = listen
  return listenFailure(Number(number), name, address, message)
}

function listenFailure(
  number: number,
  name: string,
  address: string,
  message: string,
): QuiverError {
  const options = { details: { name, address } }
  const { EADDRINUSE, EACCES, EADDRNOTAVAIL } = constants.errno
  if (number === EADDRINUSE) {
    return new QuiverError('failed_precondition', 'PORT_IN_USE', message, {
      ...options,
      hint: `End what listens on ${address} ("ss -lntp" names it), or choose another address.`,
    })
  }
  if (number === EACCES) {
    return new QuiverError('permission_denied', 'PORT_NOT_PERMITTED', message, {
      ...options,
      hint: 'Choose a port of 1024 or more, or run as root.',
    })
  }
  if (number === EADDRNOTAVAIL) {
    return new QuiverError('failed_precondition', 'ADDRESS_UNAVAILABLE', message, {
      ...options,
      hint: 'Choose an address of this machine: "ip address" shows them.',
    })
  }
  return new QuiverError('unavailable', 'LISTEN_FAILED', message, options)
}
