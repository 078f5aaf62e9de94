/** A timer for any duration: `setTimeout` takes more than 24.8 days for one millisecond. */

const STEP_MS_MAX = 2 ** 31 - 1

/** Calls back once, after `ms` milliseconds, unless disposed before. Keeps the process alive. */
export function startTimer(ms: number, callback: () => void): Disposable {
  let timer: NodeJS.Timeout
  const step = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, STEP_MS_MAX)
    timer = setTimeout(() => (leftMs > stepMs ? step(leftMs - stepMs) : callback()), stepMs)
  }
  step(Math.max(0, ms))
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
