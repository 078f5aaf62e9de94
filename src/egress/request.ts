/** What ainit sends with each connection of its task: who asks, and for which declared name and port. */

export interface RelayRequest {
  readonly token: string
  /** Host name or address, lower-case, without a final dot. */
  readonly name: string
  /** 1–65535. */
  readonly port: number
}

/** Longest message: a token, a name (RFC 1035) and a port. */
export const REQUEST_BYTES_MAX = 512

const REQUEST = /^([A-Za-z0-9_-]{1,128}) ([A-Za-z0-9_.:-]{1,254}) ([1-9][0-9]{0,4})$/

/** @returns undefined when it is not `<token> <name> <port>` */
export function parseRelayRequest(bytes: Uint8Array): RelayRequest | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const [, token = '', name = '', digits = ''] = REQUEST.exec(text) ?? []
  const port = Number(digits)
  if (token === '' || port > 65_535) return undefined
  return { token, name: name.toLowerCase().replace(/\.$/, ''), port }
}
