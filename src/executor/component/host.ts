/** What a component may import, as the machinery of components sees it: functions under the names of WIT. */

/** @template W  what host functions know of the guest that calls */
export interface HostFunction<W> {
  readonly call: HostCall<W>
  /** It may return a promise, and the guest waits. */
  readonly mayWait: boolean
}

/**
 * Gets values as codec.ts has them, and gives one; throws a `Failure` for the error of a result. Whatever else it throws
 * ends the guest. A method's parameters may be narrower than declared: types are compared before a component runs.
 */
export type HostCall<W> = { run(world: W, ...args: readonly unknown[]): unknown }['run']

/** @returns undefined when nobody offers it. @param name  as WIT mangles it: `[method]input-stream.read` */
export type FindHostFunction<W> = (
  interfaceName: string,
  name: string,
) => HostFunction<W> | undefined
