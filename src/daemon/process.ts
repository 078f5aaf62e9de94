/** What the three processes of a node have in common: how they are told to end, and where they say what they do. */

/** SIGTERM: the node ends. SIGINT: only this process does (docs/internals/ainit.md, "supervise"). */
export type EndSignal = 'SIGTERM' | 'SIGINT'

/** Resolves with the first signal; later ones change nothing, the supervisor knows how long to wait. */
export function untilTold(): Promise<EndSignal> {
  const { promise, resolve } = Promise.withResolvers<EndSignal>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  return promise
}

/** Lines to stderr, with the name of the process before each. Nobody may be there to read them: the supervisor was killed. */
export function buildLog(name: string): (line: string) => void {
  process.stderr.on('error', () => {})
  return (line) => void process.stderr.write(`${name}: ${line}\n`)
}
