/**
 * The egress relay: connects what instances may reach, and nothing else.
 *
 * ainit hands over each outgoing connection of its task with the instance's token (docs/internals/ainit.md, "Egress");
 * executors of WebAssembly connect themselves, with the token of whichever instance asks (`callers.ts`).
 * A target that is another task is reached through the proxy, which wakes it; an outside host is resolved, checked and
 * dialled here. Bytes are passed on as they are: TLS stays between the task and the host. There is no retry and no
 * cache, and an idle connection stays for as long as both sides want it.
 */

import { once } from 'node:events'
import { Socket } from 'node:net'

import { QuiverError } from '../core/error.ts'
import type { FromEgress, Grant, GrantTarget, ToEgress } from '../core/link.ts'
import { close } from '../fds/fds.ts'

import { accept, Callers, refuse } from './callers.ts'
import { dial } from './dial.ts'
import { Intake } from './intake.ts'
import { Lookups } from './lookups.ts'
import { findTarget, namedAddresses, Policy } from './policy.ts'
import { Reporter } from './report.ts'
import { parseRelayRequest, type RelayRequest } from './request.ts'
import { resolveAllowed, type Resolver } from './resolve.ts'
import { reset, splice } from './splice.ts'
import { openTunnel } from './tunnel.ts'

export interface EgressOptions {
  /** Listening SOCK_SEQPACKET descriptor; stays the caller's. */
  readonly listener: number
  /** Listening stream descriptor for executors; absent: there are none. */
  readonly executorListener?: number
  /** The proxy's socket for connections to tasks. */
  readonly tunnelPath: string
  readonly resolver: Resolver
  /** To control, or nowhere while it is away. */
  readonly send: (message: FromEgress) => void
  readonly log: (line: string) => void
  readonly limits?: Partial<EgressLimits>
}

export interface EgressLimits {
  /** Open connections per instance. */
  readonly connectionsMax: number
  /** From the request to the connected target, look-up included. */
  readonly connectTimeoutMs: number
}

/** Since the start of the process. */
export interface EgressCounters {
  readonly opened: number
  /** Not declared, not allowed, or too many. */
  readonly denied: number
  /** Allowed, but the target could not be reached. */
  readonly failed: number
  readonly bytesOut: number
  readonly bytesIn: number
}

const LIMITS: EgressLimits = { connectionsMax: 1024, connectTimeoutMs: 10_000 }

/** One connection of a task, from when it is granted until it is closed. */
interface Connection {
  readonly instance: string
  readonly client: Socket
  /** Ends the dialling; its reason says why. */
  readonly abort: AbortController
}

export class Egress implements AsyncDisposable {
  readonly #options: EgressOptions
  readonly #limits: EgressLimits
  readonly #policy = new Policy()
  readonly #intake: Intake
  readonly #callers: Callers | undefined
  readonly #lookups: Lookups
  readonly #reporter: Reporter
  readonly #connections = new Map<string, Set<Connection>>()
  readonly #counters = { opened: 0, denied: 0, failed: 0, bytesOut: 0, bytesIn: 0 }

  /** Accepts nothing before the first `policy`: who asks earlier waits in the backlog and is not denied by mistake. */
  constructor(options: EgressOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
    this.#lookups = new Lookups(options.resolver)
    this.#reporter = new Reporter({
      log: options.log,
      send: options.send,
      now: () => performance.now(),
    })
    this.#intake = new Intake({
      listener: options.listener,
      onMessage: (bytes, fd) => this.#receive(bytes, fd),
      onProblem: (message) => this.#reporter.remark(message),
    })
    const { executorListener } = options
    if (executorListener === undefined) return
    this.#callers = new Callers({
      listener: executorListener,
      onRequest: (line, client) => this.#hear(line, client),
      onProblem: (message) => this.#reporter.remark(message),
    })
  }

  get counters(): EgressCounters {
    return { ...this.#counters }
  }

  /** Connections that are open or being opened. */
  get connectionCount(): number {
    return this.#connections.values().reduce((sum, each) => sum + each.size, 0)
  }

  /** Does what control says; see `ToEgress`. */
  apply(message: ToEgress): void {
    switch (message.type) {
      case 'policy':
        this.#policy.replace(message.grants)
        for (const instance of this.#connections.keys()) {
          if (!this.#policy.has(instance)) this.#cut(instance)
        }
        this.#intake.start()
        this.#callers?.start()
        break
      case 'grant':
        this.#policy.add(message.grant)
        break
      case 'revoke':
        this.#policy.remove(message.instance)
        this.#cut(message.instance)
        break
    }
  }

  /** Accepts nothing more, and resolves when the open connections have ended or the signal says to wait no longer. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#intake[Symbol.dispose]()
    this.#callers?.[Symbol.dispose]()
    const ended = this.#connections
      .values()
      .flatMap((each) => each)
      .filter(({ client }) => !client.closed)
      .map(({ client }) => once(client, 'close', { signal }))
    await Promise.allSettled(ended)
  }

  /** Cuts every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const instance of this.#connections.keys()) this.#cut(instance)
    await this.drain(AbortSignal.timeout(this.#limits.connectTimeoutMs))
  }

  #receive(bytes: Buffer, fd: number): void {
    const client = adopt(fd)
    if (client === undefined) {
      this.#counters.denied++
      this.#reporter.remark('a request came without a connected TCP socket')
      return
    }
    this.#judge(bytes, client, false)
  }

  #hear(line: Buffer, client: Socket): void {
    this.#judge(line, client, true)
  }

  #judge(bytes: Buffer, client: Socket, isAnswered: boolean): void {
    const request = parseRelayRequest(bytes)
    const grant = request === undefined ? undefined : this.#policy.find(request.token)
    if (request !== undefined && grant !== undefined) {
      void this.#serve(client, request, grant, isAnswered)
      return
    }
    this.#counters.denied++
    const what = request === undefined ? 'a malformed request' : 'a token that nobody was given'
    this.#reporter.remark(`${what} was refused`)
    turnAway(client, isAnswered, new QuiverError('permission_denied', 'TOKEN_UNKNOWN', what))
  }

  /** Never rejects: whatever goes wrong ends this connection, and is reported. */
  async #serve(
    client: Socket,
    request: RelayRequest,
    grant: Grant,
    isAnswered: boolean,
  ): Promise<void> {
    const { instance } = grant
    const connection = { instance, client, abort: new AbortController() }
    const timer = setTimeout(() => {
      connection.abort.abort(
        new QuiverError('deadline_exceeded', 'TARGET_TIMEOUT', 'it does not answer'),
      )
    }, this.#limits.connectTimeoutMs)
    try {
      this.#register(connection)
      const target = findTarget(grant.targets, request)
      if (target === undefined) {
        throw new QuiverError('permission_denied', 'TARGET_UNDECLARED', 'it is not declared')
      }
      const upstream = await this.#open(target, request.name, grant, connection.abort.signal)
      this.#counters.opened++
      if (isAnswered) accept(client)
      splice(client, upstream, (from, count) => {
        this.#counters[from === client ? 'bytesOut' : 'bytesIn'] += count
      })
    } catch (thrown) {
      // The task that closed its side, or was stopped, need not be told.
      const error = asRefusal(thrown)
      if (!client.destroyed) this.#refuse(instance, request, error)
      turnAway(client, isAnswered, error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** @throws QuiverError `resource_exhausted/CONNECTIONS_MAX` */
  #register(connection: Connection): void {
    const { instance, client, abort } = connection
    const open = this.#connections.get(instance) ?? new Set()
    if (open.size >= this.#limits.connectionsMax) {
      throw new QuiverError('resource_exhausted', 'CONNECTIONS_MAX', `${open.size} are open`)
    }
    this.#connections.set(instance, open.add(connection))
    client.once('close', () => {
      abort.abort()
      open.delete(connection)
      if (open.size === 0) this.#connections.delete(instance)
    })
  }

  async #open(
    target: GrantTarget,
    name: string,
    grant: Grant,
    signal: AbortSignal,
  ): Promise<Socket> {
    if (target.kind === 'task') {
      return await openTunnel(this.#options.tunnelPath, target, grant.task, signal)
    }
    const exceptions = {
      isPrivateAllowed: target.isPrivateAllowed,
      named: namedAddresses(grant.targets, target.port),
    }
    const resolver = (each: string) => this.#lookups.resolve(grant.task, each, signal)
    const resolving = resolveAllowed(name, exceptions, resolver)
    const addresses = await untilAborted(resolving, signal)
    return await dial(addresses, target.port, signal)
  }

  #refuse(instance: string, request: RelayRequest, error: QuiverError): void {
    const isDenied = error.code === 'permission_denied' || error.code === 'resource_exhausted'
    this.#counters[isDenied ? 'denied' : 'failed']++
    this.#reporter.deny(instance, `${request.name}:${request.port}`, error)
  }

  #cut(instance: string): void {
    for (const { client } of this.#connections.get(instance) ?? []) reset(client)
  }
}

/**
 * A socket for a descriptor that was handed to us: a TCP connection, or of a machine, whose connections come over its channel, one
 * end of a pair of unix sockets. Undefined, and closed, when it is neither.
 */
function adopt(fd: number): Socket | undefined {
  let client: Socket
  try {
    client = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true })
  } catch {
    close(fd)
    return undefined
  }
  client.on('error', () => {})
  if (client.remoteAddress !== undefined) return client.setNoDelay(true)
  // Of TCP, also without a peer, there is a family; one that is no pair breaks when it is read.
  if (!('family' in client.address())) return client
  client.destroy()
  return undefined
}

function turnAway(client: Socket, isAnswered: boolean, error: QuiverError): void {
  if (isAnswered && !client.destroyed) refuse(client, error)
  else reset(client)
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** What the system says when a connection fails, as one of ours. */
function asRefusal(thrown: unknown): QuiverError {
  if (thrown instanceof QuiverError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new QuiverError('unavailable', 'TARGET_UNREACHABLE', message, { cause: thrown })
}
