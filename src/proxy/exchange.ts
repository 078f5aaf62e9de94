/**
 * One request, from the moment its task is known until both sides are done: it waits for an instance, sends, streams
 * both ways with back-pressure, and answers by itself when something goes wrong.
 *
 * A request is sent again only if nothing of it was sent, or, once, if it may be repeated (RFC 9110, section 9.2.2), has
 * no body, and an idle connection ended without a byte of an answer. What breaks a new connection is not sent again: it
 * may be what kills the instance. A break after the head of an answer breaks the client's connection too.
 *
 * `request_timeout` bounds the time to the head of the answer, and every later silence; a body that keeps moving may
 * take as long as it needs. Event streams and switched protocols may be silent.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import type { StartKind } from '../core/instance.ts'
import type { ErrorBody } from '../core/link.ts'

import type { Activator, Waiter } from './activator.ts'
import { describeTiming, formatHead, pairUp } from './answer.ts'
import type { Deadlines, Expiring } from './clock.ts'
import { sendFailure, buildUnavailable, type Failure } from './failure.ts'
import * as failures from './failures.ts'
import type { Instance, Revision, Task } from './fleet.ts'
import { buildRequestHead, selectResponseHeaders, type Origin } from './headers.ts'
import { join } from './join.ts'
import type { Reports } from './reports.ts'
import { chooseRevision, cookieValue, formatCookie, readCookie } from './split.ts'
import { bodyKind, isRepeatable, Upload, type BodyKind, type UploadHandler } from './upload.ts'
import type { UpstreamConnection, UpstreamHandler } from './upstream/connection.ts'
import type { ResponseHead } from './upstream/response-parser.ts'

/** What all exchanges share. */
export interface ExchangeContext {
  readonly activator: Activator
  readonly deadlines: Deadlines
  readonly reports: Reports
  readonly random: () => number
}

export interface Upgrade {
  /** In lower case. */
  readonly protocol: string
  /** What came after the head. */
  readonly rest: Buffer
  /** Called when the connection becomes a stream of bytes. */
  readonly stopWatching: () => void
}

export interface ExchangeRequest {
  readonly task: Task
  readonly target: string
  readonly host: string
  readonly requestId: string
  readonly origin: Origin
  /** Null for a plain request. */
  readonly upgrade: Upgrade | null
  readonly expectsContinue: boolean
}

const ATTEMPTS_MAX = 3
/** Bodies up to this size leave in one write together with the head. */
const JOINED_BYTES_MAX = 16 * 1024

export class Exchange implements Waiter, UpstreamHandler, UploadHandler, Expiring {
  readonly #context: ExchangeContext
  readonly #asked: ExchangeRequest
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #body: BodyKind
  #revision: Revision | null = null
  /** Not null while a place of it is held. */
  #instance: Instance | null = null
  #connection: UpstreamConnection | null = null
  #kind: StartKind = 'warm'
  #waitMs = 0
  #attempts = 0
  #activeMs = 0
  deadlineIndex = -1
  /** Something moved since the last tick. */
  #isActive = false
  #isOver = false
  /** Sent once on a connection that ended without an answer. */
  #isRepeated = false
  #upload: Upload | null = null
  #isSilenceAllowed = false
  /** The head of the answer went to the client. */
  #hasHead = false
  /** It leaves together with the first bytes of the body, if those came with it. */
  #isHeadHeld = false

  constructor(
    context: ExchangeContext,
    request: IncomingMessage,
    response: ServerResponse,
    asked: ExchangeRequest,
  ) {
    this.#context = context
    this.#asked = asked
    this.#request = request
    this.#response = response
    this.#body = bodyKind(request)
    response.once('close', this.#onClientClose)
  }

  start(): void {
    this.#asked.task.counters.requests += 1
    this.#choose()
  }

  onMoved(): void {
    this.#revision = null
    this.#choose()
  }

  #choose(): void {
    const { task, origin } = this.#asked
    const { refusal } = task.route
    if (refusal !== null) return this.#fail(buildUnavailable(refusal, refusal.retryAfterS))
    const { cookie } = this.#request.headers
    const choice = chooseRevision(task, cookie, origin.address, this.#context.random)
    if (choice === null || choice.revision.route.httpPort === null) {
      return this.#fail(failures.noHttp(task))
    }
    this.#revision = choice.revision
    const { bodyBytes } = choice.revision.route
    if (bodyBytes !== null && Number(this.#request.headers['content-length'] ?? 0) > bodyBytes) {
      return this.#fail(failures.bodyTooLarge(bodyBytes))
    }
    this.#context.activator.acquire(choice.revision, this, choice.preferred)
  }

  onInstance(instance: Instance, kind: StartKind, waitMs: number): void {
    this.#instance = instance
    if (this.#attempts === 0) this.#kind = kind
    this.#waitMs += waitMs
    this.#attempts += 1
    this.#activeMs = performance.now()
    this.#context.deadlines.add(this)
    this.#connect(instance, true)
  }

  onRefused(error: ErrorBody, retryAfterS?: number): void {
    this.#fail(buildUnavailable(error, retryAfterS))
  }

  onTick(nowMs: number): void {
    if (this.#isActive) {
      this.#isActive = false
      this.#activeMs = nowMs
    }
    const { requestTimeoutMs } = this.#revision?.route ?? { requestTimeoutMs: Infinity }
    if (this.#isSilenceAllowed || nowMs - this.#activeMs < requestTimeoutMs) return
    this.#fail(
      this.#upload?.isStalled === true
        ? failures.uploadStalled()
        : failures.requestTimeout(requestTimeoutMs),
    )
  }

  onInformation(head: ResponseHead): void {
    this.#isActive = true
    if (this.#request.httpVersion !== '1.1' || this.#asked.upgrade !== null) return
    this.#response.writeInformation(head.status, selectResponseHeaders(head, false))
  }

  onHead(head: ResponseHead): void {
    this.#isActive = true
    this.#isSilenceAllowed = head.isEventStream
    const { requestId } = this.#asked
    const response = this.#response
    // Trailers need chunks, which only HTTP/1.1 has, and which a length excludes.
    const isChunked = head.contentLength === null && this.#request.httpVersion === '1.1'
    const hasBody = this.#request.method !== 'HEAD' && head.status !== 204 && head.status !== 304
    const headers = selectResponseHeaders(head, isChunked && hasBody)
    headers.push('X-Request-Id', requestId)
    headers.push('Server-Timing', describeTiming(this.#kind, this.#waitMs))
    if (this.#asked.task.route.sticky === 'cookie') this.#addCookie(headers)
    if (this.#asked.upgrade !== null) headers.push('Connection', 'close')
    this.#count(head.status)
    this.#hasHead = true
    response.writeHead(head.status, head.reason, headers)
    this.#isHeadHeld = true
  }

  onPause(): void {
    if (!this.#isHeadHeld) return
    this.#isHeadHeld = false
    this.#response.flushHeaders()
  }

  onData(chunk: Buffer, isLast: boolean): void {
    this.#isActive = true
    this.#asked.task.counters.bytesOut += chunk.length
    this.#isHeadHeld = false
    const response = this.#response
    if (isLast && chunk.length <= JOINED_BYTES_MAX) {
      response.end(chunk.toString('latin1'), 'latin1')
      return
    }
    // The bytes are only lent.
    if (response.write(Buffer.from(chunk))) return
    this.#connection?.pause()
    response.once('drain', this.#onClientDrain)
  }

  onEnd(rawTrailers: readonly string[]): void {
    this.#connection = null
    if (!this.#response.writableEnded) {
      if (rawTrailers.length > 0) this.#response.addTrailers(pairUp(rawTrailers))
      this.#response.end()
    }
    this.#finish()
  }

  onUpgrade(): void {
    // The connection answers by `onSocket`.
  }

  onSocket(head: ResponseHead, upstream: Socket, rest: Buffer): void {
    const { upgrade, requestId, task } = this.#asked
    const client = this.#request.socket
    this.#connection = null
    this.#isSilenceAllowed = true
    this.#context.deadlines.delete(this)
    this.#response.off('close', this.#onClientClose)
    this.#response.detachSocket(client)
    upstream.allowHalfOpen = true
    upgrade?.stopWatching()
    this.#count(head.status)
    this.#hasHead = true
    const headers = selectResponseHeaders(head, false)
    headers.push('X-Request-Id', requestId, 'Connection', 'Upgrade')
    headers.push('Upgrade', upgrade?.protocol ?? '')
    headers.push('Server-Timing', describeTiming(this.#kind, this.#waitMs))
    client.write(formatHead(`HTTP/1.1 101 ${head.reason}`, headers), 'latin1')
    if (rest.length > 0) client.write(rest)
    if (upgrade !== null && upgrade.rest.length > 0) upstream.write(upgrade.rest)
    join(client, upstream, () => {
      task.counters.bytesIn += upstream.bytesWritten
      task.counters.bytesOut += upstream.bytesRead
      this.#finish()
    })
  }

  onDrain(): void {
    this.#isActive = true
    this.#upload?.drain()
  }

  onFailure(error: Error, hasBytes: boolean): void {
    const connection = this.#connection
    const instance = this.#instance
    this.#connection = null
    // A connection that was idle may have been closed while the request was on its way: nobody has seen it.
    const isStale = connection !== null && connection.hasServed && !hasBytes
    if (instance === null) return
    if (isStale && this.#isRepeatable) {
      this.#isRepeated = true
      this.#connect(instance, false)
      return
    }
    if (!isStale) this.#context.reports.suspect(instance, error.message)
    if (this.#hasHead || failures.isProtocolError(error)) {
      this.#fail(failures.instanceBroke(error))
      return
    }
    // Control may know why, and says so in a moment.
    instance.whenExited((reason) => this.#fail(failures.instanceDied(reason)))
  }

  get #isRepeatable(): boolean {
    return this.#asked.upgrade === null && isRepeatable(this.#request)
  }

  #connect(instance: Instance, mayReuse: boolean): void {
    const pool = instance.pool(this.#revision?.route.httpPort ?? 0)
    const mayTake = mayReuse && this.#asked.upgrade === null
    const connection = mayTake ? pool.take(this.#isRepeatable, this.#activeMs) : null
    if (connection !== null) return this.#send(connection)
    pool.open(this.#asked.upgrade !== null, (error, opened) => {
      if (this.#isOver) {
        if (opened !== null) pool.putBack(opened)
      } else if (opened === null) {
        this.#retryElsewhere(instance, error ?? new Error('no connection'))
      } else {
        this.#send(opened)
      }
    })
  }

  /**
   * No stream could be opened, so nothing was sent: another instance may take it, or this one when it is well again.
   * Control, which may still list an instance that just died, is given the moment it needs to notice.
   */
  #retryElsewhere(instance: Instance, error: Error): void {
    instance.suspect(performance.now())
    const isControlThere = this.#context.reports.suspect(instance, error.message)
    instance.whenExited((reason) => {
      if (this.#isOver || this.#revision === null) return
      // What was sent on an idle connection may be what ended the instance: no other one gets it then.
      const isCulprit = this.#isRepeated && reason !== null
      if (isCulprit) return this.#fail(failures.instanceDied(reason))
      this.#isRepeated = false
      this.#release()
      // Nobody can replace it while control is away: the request waits, as a first one does.
      const isPatient = !isControlThere && this.#waitMs < this.#revision.route.startTimeoutMs
      const isLast = this.#attempts >= ATTEMPTS_MAX && !isPatient
      if (isLast) return this.#fail(failures.instanceUnreachable(error))
      this.#context.activator.acquire(this.#revision, this, null, true)
    })
  }

  #send(connection: UpstreamConnection): void {
    this.#connection = connection
    const { upgrade } = this.#asked
    const head = buildRequestHead(this.#request, this.#asked)
    connection.send(this, head, this.#body, this.#request.method === 'HEAD', upgrade !== null)
    if (this.#body === 'none') return
    if (this.#asked.expectsContinue) this.#response.writeContinue()
    const bodyBytes = this.#revision?.route.bodyBytes ?? null
    this.#upload = new Upload(this.#request, connection, bodyBytes, this)
  }

  onProgress(): void {
    this.#isActive = true
  }

  onTooLarge(): void {
    this.#fail(failures.bodyTooLarge(this.#revision?.route.bodyBytes ?? 0))
  }

  readonly #onClientDrain = (): void => {
    this.#isActive = true
    this.#connection?.resume()
  }

  readonly #onClientClose = (): void => {
    if (this.#isOver) return
    // The connection under the answer is gone: nobody waits for the rest.
    this.#connection?.destroy()
    this.#connection = null
    if (!this.#hasHead) this.#count(499)
    this.#finish()
  }

  #addCookie(headers: string[]): void {
    if (this.#revision === null || this.#instance === null) return
    const value = cookieValue(this.#revision, this.#instance)
    if (readCookie(this.#request.headers.cookie) === value) return
    headers.push('Set-Cookie', formatCookie(value, this.#asked.origin.isSecure))
  }

  #count(status: number): void {
    const { task } = this.#asked
    task.countStatus(status)
    const instance = this.#instance
    if (instance === null) return
    task.counters.starts[this.#kind] += 1
    if (!instance.isFresh) return
    instance.isFresh = false
    this.#context.reports.firstByte(instance, this.#asked.requestId, this.#waitMs)
  }

  /** Answers by itself, or breaks the answer that has begun. */
  #fail(failure: Failure): void {
    if (this.#isOver) return
    this.#connection?.destroy()
    this.#connection = null
    if (this.#hasHead) {
      this.#response.destroy()
    } else {
      this.#hasHead = true
      this.#count(failure.status)
      sendFailure(this.#response, failure, this.#asked.requestId)
    }
    this.#finish()
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#upload !== null) {
      this.#asked.task.counters.bytesIn += this.#upload.bytes
      this.#upload.stop()
    }
    this.#context.deadlines.delete(this)
    this.#context.reports.count(this.#asked.task)
    if (this.#instance !== null) this.#release()
    else if (this.#revision !== null) this.#context.activator.leave(this.#revision, this)
  }

  #release(): void {
    const instance = this.#instance
    if (instance === null) return
    this.#instance = null
    this.#context.activator.release(this.#revision, instance)
  }
}
