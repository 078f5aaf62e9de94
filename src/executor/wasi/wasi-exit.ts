/** How a guest ends of its own will: thrown by `proc_exit` and `proc_raise` through the guest's frames. */

const STATUS_MAX = 255

export class WasiExit extends Error {
  override readonly name = 'WasiExit'
  /** What the guest gave: any 32-bit number. */
  readonly code: number
  /**
   * 0 to 255. A code up to 255 is kept; of a greater one the low eight bits count, as in a shell (-1 is 255), except that 256 and other
   * multiples, which a shell would take for success, are 255.
   */
  readonly status: number
  /** Set if it ended by raising a signal; the status is 128 more. */
  readonly signal: number | undefined

  constructor(code: number, signal?: number) {
    const { stackTraceLimit } = Error
    // An exit is how most guests end: its stack would be taken for nothing.
    Error.stackTraceLimit = 0
    super(`the guest exited with ${code}`)
    Error.stackTraceLimit = stackTraceLimit
    this.code = code
    this.status = code <= STATUS_MAX ? code : code & STATUS_MAX || STATUS_MAX
    this.signal = signal
  }
}
