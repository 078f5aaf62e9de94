/** Everything the proxy answers by itself, in one place: reason, message and hint of each. */

import type { ErrorBody } from '../core/link.ts'

import { buildBadGateway, buildRefusal, type Failure } from './failure.ts'
import type { Task } from './fleet.ts'

export function noRoute(host: string): Failure {
  return buildRefusal(
    404,
    'NO_ROUTE',
    `no task has a route for ${host}`,
    'List tasks and their routes with "quiver ps".',
  )
}

export function noTask(name: string): Failure {
  return buildRefusal(
    404,
    'TASK_NOT_FOUND',
    `there is no task ${name}`,
    'Deploy it, or correct the [[connect]] that names it.',
  )
}

export function noPath(host: string): Failure {
  return buildRefusal(
    404,
    'NO_ROUTE',
    `no task at ${host} has a route for this path`,
    'List tasks and their routes with "quiver ps".',
  )
}

export function wrongMethod(allowed: ReadonlySet<string>): Failure {
  const methods = [...allowed].toSorted().join(', ')
  return buildRefusal(
    405,
    'METHOD_NOT_ALLOWED',
    'the path has a route, but not for this method',
    `Use one of ${methods}.`,
    ['Allow', methods],
  )
}

export function ambiguousPath(): Failure {
  return buildRefusal(
    400,
    'PATH_AMBIGUOUS',
    'the path has dot segments, and paths decide which task is meant',
    'Resolve "." and ".." before sending the request.',
  )
}

export function invalidRequest(message: string): Failure {
  return buildRefusal(400, 'REQUEST_INVALID', message, 'Send a request as RFC 9112 describes it.')
}

export function unknownEncoding(): Failure {
  return buildRefusal(
    501,
    'TRANSFER_ENCODING_UNKNOWN',
    'the body has a Transfer-Encoding other than chunked',
    'Use Content-Encoding for compression.',
  )
}

export function unknownExpectation(): Failure {
  return buildRefusal(
    417,
    'EXPECTATION_UNKNOWN',
    'only "100-continue" can be expected',
    'Leave the Expect header out.',
  )
}

export function noTunnel(): Failure {
  return buildRefusal(
    405,
    'METHOD_NOT_ALLOWED',
    'this is no forward proxy: CONNECT is not supported',
    'Send requests to the address of a task.',
    ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
  )
}

export function headTooLarge(): Failure {
  return buildRefusal(
    431,
    'HEADERS_TOO_LARGE',
    'the headers of the request are too many or too large',
    'Send less: often it is the cookies.',
  )
}

export function headTimeout(): Failure {
  return buildRefusal(
    408,
    'REQUEST_STALLED',
    'the head of the request did not come in time',
    'Send the whole head at once.',
  )
}

export function uploadStalled(): Failure {
  return buildRefusal(
    408,
    'REQUEST_STALLED',
    'the body of the request stopped coming',
    'Send it again, without a pause longer than limits.request_timeout.',
  )
}

export function bodyTooLarge(bodyBytes: number): Failure {
  return buildRefusal(
    413,
    'BODY_TOO_LARGE',
    `the body is larger than the ${bodyBytes} bytes that the task takes`,
    'Send less, or raise limits.body in quiver.toml.',
  )
}

export function noHttp(task: Task): Failure {
  return buildBadGateway(
    'NO_HTTP',
    `${task.name} has no web server`,
    'Set http.port in quiver.toml to the port it listens on.',
  )
}

export function instanceUnreachable(error: Error): Failure {
  return buildBadGateway(
    'INSTANCE_UNREACHABLE',
    `the instance does not accept connections (${error.message})`,
    'See "quiver logs" and "quiver describe" of the task.',
  )
}

/** The instance broke off, or answered something that is not HTTP. */
export function instanceBroke(error: Error): Failure {
  if (isProtocolError(error)) {
    return buildBadGateway('RESPONSE_INVALID', error.message, 'The task must speak HTTP/1.1.')
  }
  return instanceDied(null)
}

/** @param reason  what control knows of the end; null: nothing */
export function instanceDied(reason: ErrorBody | null): Failure {
  if (reason !== null) return { status: 502, error: reason, retryAfterS: 1 }
  return buildBadGateway(
    'INSTANCE_DIED',
    'the instance ended the connection before it answered',
    'See "quiver logs" and "quiver describe" of the task.',
  )
}

/** What came back is not HTTP: the instance may live on. */
export function isProtocolError(error: Error): boolean {
  return 'reason' in error && error.reason === 'RESPONSE_INVALID'
}

export function requestTimeout(requestTimeoutMs: number): Failure {
  return {
    status: 504,
    error: {
      code: 'deadline_exceeded',
      reason: 'REQUEST_TIMEOUT',
      message: `the instance did not answer within ${requestTimeoutMs} ms`,
      hint: 'Raise limits.request_timeout in quiver.toml if the task needs longer.',
    },
  }
}
