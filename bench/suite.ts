/** What a suite of benchmarks is: a module with one function. */

export interface BenchOptions {
  /** Samples a case; each suite has its own default. */
  readonly n?: number
}

export interface Suite {
  readonly run: (options: BenchOptions) => Promise<void>
}
