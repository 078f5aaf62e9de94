/** Statistics of samples, and how a figure is printed: one JSON object a line, and nothing else, on stdout. */

/** One figure and, where there is one, the peer that was measured in the same run. */
export interface Figure {
  /** `suite.case.statistic` */
  readonly name: string
  readonly value: number
  readonly unit: 'ms' | 's' | 'MiB' | 'MiB/s' | 'bytes' | 'count' | 'req/s'
  /** Number of samples behind it. */
  readonly n: number
  readonly peer?: string
  readonly peerValue?: number
  /** What runs the guests, where a virtual machine is behind it. */
  readonly machine?: 'emulation' | 'kvm'
}

const DECIMALS = 3

export function report(figure: Figure): void {
  const { name, value, peerValue, ...rest } = figure
  const isComparable = peerValue !== undefined && peerValue !== 0
  const ratio = isComparable ? { peerValue: round(peerValue), ratio: round(value / peerValue) } : {}
  const line = { name, value: round(value), ...rest, ...ratio }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Messages are for people, and go where figures do not. */
export function say(message: string): void {
  process.stderr.write(`${message}\n`)
}

export interface Peer {
  readonly name: string
  readonly samples: readonly number[]
}

/** Reports p50, p99 and max of durations in milliseconds as `<prefix>.p50` and so on. */
export function reportDurations(
  prefix: string,
  samples: readonly number[],
  peer?: Peer,
  facts: Pick<Figure, 'machine'> = {},
): void {
  for (const [statistic, share] of STATISTICS) {
    report({
      name: `${prefix}.${statistic}`,
      value: quantile(samples, share),
      unit: 'ms',
      n: samples.length,
      ...(peer === undefined ? {} : { peer: peer.name, peerValue: quantile(peer.samples, share) }),
      ...facts,
    })
  }
}

const STATISTICS = [
  ['p50', 0.5],
  ['p99', 0.99],
  ['max', 1],
] as const

/** The smallest sample that `share` of all samples do not exceed (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = Float64Array.from(samples).toSorted()
  const rank = Math.max(1, Math.ceil(share * sorted.length))
  return sorted[rank - 1] ?? Number.NaN
}

function round(value: number): number {
  return Number(value.toFixed(DECIMALS))
}
