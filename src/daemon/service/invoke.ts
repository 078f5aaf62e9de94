/** Calls of exports for people: as a task calls another one (executor/call.ts), but from control. */

import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'

import type { InvokeRequest, InvokeResult } from '../../api/resources.ts'
import { CODES, QuiverError, type Code } from '../../core/error.ts'
import { http } from '../../core/http.ts'
import { callTarget, FROM_HEADER, parseCallAnswer } from '../../executor/call.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'

import type { ServiceParts } from './parts.ts'
import { wakeTarget } from './targets.ts'

const CALLER = 'control'
const OK = 200
const ERROR_LENGTH_MAX = 300

/** @throws QuiverError as the callee answers; `failed_precondition/NOT_CALLABLE`, `deadline_exceeded/CALL_TIMEOUT` */
export async function invoke(
  name: string,
  request: InvokeRequest,
  signal: AbortSignal,
  parts: ServiceParts,
): Promise<InvokeResult> {
  const { scheduler } = parts
  if (scheduler.registry.require(name).kind === 'run') throw notCallable(name, 'is a run')
  const managed = await wakeTarget(name, parts, signal)
  const controller = scheduler.controllerOf(managed.id)
  controller?.holdAwake(managed)
  try {
    return await call(managed, request, signal, parts)
  } finally {
    controller?.letIdle(managed)
  }
}

async function call(
  { id, instance }: ManagedInstance,
  request: InvokeRequest,
  signal: AbortSignal,
  { openStream }: ServiceParts,
): Promise<InvokeResult> {
  const { task, spec } = instance.plan
  const { endpoint } = instance
  const port = endpoint.port ?? spec.http?.port
  if (port === undefined) throw notCallable(task, 'has no web server')
  const timeout = AbortSignal.timeout(spec.limits.requestTimeoutMs)
  const deadline = AbortSignal.any([signal, timeout])
  try {
    await using stream = await openStream(endpoint, port, deadline)
    const { status, body } = await post(stream, task, request, deadline)
    if (status !== OK) throw failed(task, request.export, status, body)
    const { value, output = null } = parseCallAnswer(body)
    return { instance: id, value, output }
  } catch (thrown) {
    if (timeout.aborted) throw timedOut(task, request.export, spec.limits.requestTimeoutMs)
    throw thrown
  }
}

async function post(
  stream: Duplex,
  task: string,
  { export: name, args }: InvokeRequest,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: Buffer }>()
  const body = JSON.stringify({ args })
  const outgoing = http.request({
    createConnection: () => stream,
    method: 'POST',
    path: callTarget(name),
    signal,
    headers: {
      host: task,
      connection: 'close',
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      [FROM_HEADER]: CALLER,
    },
  })
  outgoing.on('error', (cause) => reject(broke(task, cause)))
  outgoing.on('response', (answer) => {
    buffer(answer).then(
      (bytes) => resolve({ status: answer.statusCode ?? 0, body: bytes }),
      (cause) => reject(broke(task, cause)),
    )
  })
  outgoing.end(body)
  return await promise
}

/** An executor answers with an error of ours; a server in a sandbox with whatever it has. */
function failed(task: string, name: string, status: number, body: Buffer): QuiverError {
  const text = body.toString('utf8')
  const { code, reason, message, hint } = fieldsOf(text)
  if (typeof code === 'string' && isCode(code) && typeof reason === 'string') {
    const options = typeof hint === 'string' ? { hint } : {}
    return new QuiverError(code, reason, String(message), options)
  }
  const what = `${task} answered the call of ${name} with status ${status}: ${text.slice(0, ERROR_LENGTH_MAX)}`
  return new QuiverError('unavailable', 'CALL_FAILED', what, {
    hint: 'Modules answer calls by themselves; a server in a sandbox has to do it, with {"value": "42"}.',
  })
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return { ...Object(value) }
  } catch {
    return {}
  }
}

function isCode(code: string): code is Code {
  return Object.hasOwn(CODES, code)
}

function broke(task: string, cause: unknown): QuiverError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new QuiverError('unavailable', 'CALL_FAILED', `${task} did not answer: ${why}`, {
    cause,
    hint: `See "quiver logs ${task}".`,
  })
}

function timedOut(task: string, name: string, timeoutMs: number): QuiverError {
  const message = `${name} of ${task} did not return within ${timeoutMs} ms`
  return new QuiverError('deadline_exceeded', 'CALL_TIMEOUT', message, {
    hint: 'Raise limits.request_timeout if that is what it should do.',
  })
}

function notCallable(task: string, why: string): QuiverError {
  return new QuiverError(
    'failed_precondition',
    'NOT_CALLABLE',
    `${task} ${why}: nothing in it can be called`,
    {
      hint: 'Deploy a WebAssembly module, or add [http] to its manifest.',
    },
  )
}
