/** The environment in which a command answers a request: RFC 3875, section 4.1. */

import type { RequestHead } from '../http/request-head.ts'

/** Said otherwise, or a secret between client and server that the environment must not spread (section 9.2). */
const HIDDEN = new Set(['content-length', 'content-type', 'connection', 'proxy'])

export function buildCgiEnv(
  head: RequestHead,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  const host = head.header('host') ?? ''
  const [, name = '', port = ''] = /^(.*?)(?::(\d+))?$/.exec(host) ?? []
  const protocol = head.header('x-forwarded-proto') ?? 'http'
  const cgi: Record<string, string> = { ...env }
  const { rawHeaders } = head
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const lower = (rawHeaders[index] ?? '').toLowerCase()
    if (HIDDEN.has(lower) || !/^[a-z0-9-]+$/.test(lower)) continue
    const key = `HTTP_${lower.replaceAll('-', '_').toUpperCase()}`
    const value = rawHeaders[index + 1] ?? ''
    const before = Object.hasOwn(cgi, key) ? cgi[key] : undefined
    cgi[key] = before === undefined || Object.hasOwn(env, key) ? value : `${before}, ${value}`
  }
  const [client = ''] = (head.header('x-forwarded-for') ?? '').split(',')
  return Object.assign(cgi, {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_SOFTWARE: 'quiver',
    SERVER_NAME: name,
    SERVER_PORT: port === '' ? (protocol === 'https' ? '443' : '80') : port,
    REQUEST_METHOD: head.method,
    REQUEST_URI: head.target,
    SCRIPT_NAME: '',
    PATH_INFO: decodePath(head.path),
    QUERY_STRING: head.query,
    REMOTE_ADDR: client.trim(),
    ...(protocol === 'https' ? { HTTPS: 'on' } : {}),
    ...(head.contentLength === null ? {} : { CONTENT_LENGTH: String(head.contentLength) }),
    ...optional('CONTENT_TYPE', head.header('content-type')),
  })
}

function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value }
}

function decodePath(path: string): string {
  try {
    const decoded = decodeURIComponent(path)
    // A NUL would end the variable early.
    return decoded.includes('\0') ? path : decoded
  } catch {
    return path
  }
}
