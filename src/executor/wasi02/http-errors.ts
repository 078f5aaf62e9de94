/** Error codes of `wasi:http/types`, for what goes wrong on the way to another server. */

import { QuiverError, type Code } from '../../core/error.ts'

/** A case of a variant. */
export interface Tagged {
  readonly tag: string
  readonly val?: unknown
}

const BY_REASON: Readonly<Record<string, Tagged>> = {
  TARGET_TIMEOUT: { tag: 'connection-timeout' },
  TARGET_BROKE: { tag: 'connection-terminated' },
  TLS_FAILED: { tag: 'TLS-certificate-error' },
  REQUEST_INVALID: { tag: 'HTTP-protocol-error' },
}
const BY_CODE: { readonly [code in Code]?: Tagged } = {
  permission_denied: { tag: 'HTTP-request-denied' },
  not_found: { tag: 'destination-not-found' },
  invalid_argument: { tag: 'HTTP-request-URI-invalid' },
  deadline_exceeded: { tag: 'connection-timeout' },
  unavailable: { tag: 'destination-unavailable' },
}

export function errorCodeOf(thrown: unknown): Tagged {
  const { reason, code, message } = QuiverError.from(thrown)
  return BY_REASON[reason] ?? BY_CODE[code] ?? { tag: 'internal-error', val: message }
}

/** Breaks the stream of a body, as a system error does; `http-error-code` tells the guest more. */
export class HttpBroken extends Error {
  override readonly name = 'HttpBroken'
  readonly code = 'ECONNRESET'
  readonly errorCode: Tagged

  constructor(errorCode: Tagged, cause?: unknown) {
    super(cause instanceof Error ? cause.message : errorCode.tag, { cause })
    this.errorCode = errorCode
  }
}
