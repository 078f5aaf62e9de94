/**
 * The head of a request as the proxy sends it. The proxy has refused already what servers read in different ways, so this
 * reads what is well-formed, and calls everything else an error: it never guesses where a request ends.
 */

export class RequestHead {
  readonly method: string
  /** As sent: path and query. */
  readonly target: string
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
  /** Null: chunked, or no body. */
  readonly contentLength: number | null
  readonly isChunked: boolean
  readonly isPersistent: boolean
  readonly #text: string
  readonly #headersAt: number
  #rawHeaders: readonly string[] | undefined

  /**
   * @param text  request line and headers, latin1, without the empty line
   * @throws Error when it is not the head of an HTTP/1.1 request
   */
  constructor(text: string) {
    const lineEnd = text.indexOf('\r\n')
    const line = lineEnd === -1 ? text : text.slice(0, lineEnd)
    const methodEnd = line.indexOf(' ')
    const targetEnd = line.lastIndexOf(' ')
    const version = line.slice(targetEnd + 1)
    if (methodEnd <= 0 || targetEnd <= methodEnd + 1 || !version.startsWith('HTTP/1.')) {
      throw new Error('the first line is not a request line of HTTP/1')
    }
    this.method = line.slice(0, methodEnd)
    this.target = line.slice(methodEnd + 1, targetEnd)
    const question = this.target.indexOf('?')
    this.path = question === -1 ? this.target : this.target.slice(0, question)
    this.query = question === -1 ? '' : this.target.slice(question + 1)
    this.#text = text
    this.#headersAt = lineEnd === -1 ? text.length : lineEnd + 2

    const length = this.header('content-length')
    const encoding = this.header('transfer-encoding')
    if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new Error('bad Content-Length')
    if (encoding !== undefined && (encoding.toLowerCase() !== 'chunked' || length !== undefined)) {
      throw new Error('the length of the body is ambiguous')
    }
    this.contentLength = length === undefined ? null : Number(length)
    this.isChunked = encoding !== undefined
    const connection = this.header('connection')
    this.isPersistent =
      version === 'HTTP/1.1' &&
      (connection === undefined || !connection.toLowerCase().includes('close'))
  }

  /** The first header of that name; latin1. @param name  in lower case */
  header(name: string): string | undefined {
    const text = this.#text
    let at = this.#headersAt
    while (at < text.length) {
      const colon = at + name.length
      if (text.charCodeAt(colon) === COLON && text.slice(at, colon).toLowerCase() === name) {
        const end = text.indexOf('\r\n', colon)
        return text.slice(colon + 1, end === -1 ? text.length : end).trim()
      }
      const next = text.indexOf('\r\n', at)
      if (next === -1) return undefined
      at = next + 2
    }
    return undefined
  }

  /** Name, value, name, value …, as sent. */
  get rawHeaders(): readonly string[] {
    this.#rawHeaders ??= readFields(this.#text, this.#headersAt)
    return this.#rawHeaders
  }
}

const COLON = 58

function readFields(text: string, start: number): readonly string[] {
  const fields: string[] = []
  let at = start
  while (at < text.length) {
    const found = text.indexOf('\r\n', at)
    const end = found === -1 ? text.length : found
    const colon = text.indexOf(':', at)
    if (colon !== -1 && colon < end) {
      fields.push(text.slice(at, colon), text.slice(colon + 1, end).trim())
    }
    at = end + 2
  }
  return fields
}
