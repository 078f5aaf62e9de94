/** How a component says that it failed. */

/** Whether it is the error of a `result`. */
export function isError(returned: unknown): boolean {
  return (
    typeof returned === 'object' && returned !== null && 'tag' in returned && returned.tag === 'err'
  )
}
