/** Bytes, headers and a status that a guest fills or reads. It knows no limits and no guest: see `HostSession`. */

const STATUS_DEFAULT = 200
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/
// oxlint-disable-next-line eslint/no-control-regex -- they would end a header, or the request.
const FORBIDDEN = /[\0-\u0008\u000a-\u001f\u007f]/
const HEADERS_MAX = 128
const HEADER_CHARACTERS_MAX = 64 * 1024

export class ExchangeBuffer {
  /** null: not set. */
  #status: number | null = null
  #headers: string[]
  #headerCharacters = 0
  #data: Uint8Array
  #size: number
  #isTouched = false

  /** @param bytes  not copied, and never written to */
  constructor(bytes: Uint8Array, rawHeaders: readonly string[] = []) {
    this.#data = bytes
    this.#size = bytes.length
    this.#headers = [...rawHeaders]
  }

  get size(): number {
    return this.#size
  }

  /** Valid until the next `append`. */
  get bytes(): Uint8Array {
    return this.#data.subarray(0, this.#size)
  }

  get status(): number {
    return this.#status ?? STATUS_DEFAULT
  }

  get hasStatus(): boolean {
    return this.#status !== null
  }

  get rawHeaders(): readonly string[] {
    return this.#headers
  }

  /** Somebody wrote to it. */
  get isTouched(): boolean {
    return this.#isTouched
  }

  /** Copies the bytes behind those that are there. */
  append(bytes: Uint8Array): void {
    this.#isTouched = true
    const size = this.#size + bytes.length
    if (size > this.#data.length) {
      // The first write mostly is the only one.
      const grown = new Uint8Array(this.#size === 0 ? size : Math.max(size, this.#data.length * 2))
      grown.set(this.bytes)
      this.#data = grown
    }
    this.#data.set(bytes, this.#size)
    this.#size = size
  }

  setStatus(status: number): void {
    this.#isTouched = true
    this.#status = status
  }

  /** All values of a header, joined; undefined when there is none. */
  header(name: string): string | undefined {
    return findHeader(this.#headers, name)
  }

  /** @returns `invalid` or `full`, and then nothing has changed */
  addHeader(name: string, value: string): 'added' | 'invalid' | 'full' {
    if (!TOKEN.test(name) || FORBIDDEN.test(value)) return 'invalid'
    const characters = this.#headerCharacters + name.length + value.length
    const isFull = this.#headers.length >= 2 * HEADERS_MAX || characters > HEADER_CHARACTERS_MAX
    if (isFull) return 'full'
    this.#isTouched = true
    this.#headerCharacters = characters
    this.#headers.push(name, value)
    return 'added'
  }

  removeHeader(name: string): void {
    const lower = name.toLowerCase()
    const kept: string[] = []
    for (let index = 0; index < this.#headers.length; index += 2) {
      const [key = '', value = ''] = this.#headers.slice(index, index + 2)
      if (key.toLowerCase() === lower) this.#headerCharacters -= key.length + value.length
      else kept.push(key, value)
    }
    this.#headers = kept
  }
}

/** All values of a header in a flat list, joined; undefined when there is none. */
export function findHeader(rawHeaders: readonly string[], name: string): string | undefined {
  const lower = name.toLowerCase()
  let found: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const key = rawHeaders[index] ?? ''
    if (key.length !== lower.length || key.toLowerCase() !== lower) continue
    const value = rawHeaders[index + 1] ?? ''
    found = found === undefined ? value : `${found}, ${value}`
  }
  return found
}
