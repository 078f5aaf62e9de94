/** Has drivers forget what they made for revisions that are gone. */

import type { Driver } from '../drivers/driver.ts'

import type { TaskRegistry } from './registry.ts'

export function prune(drivers: ReadonlyMap<string, Driver>, registry: TaskRegistry): void {
  const exists = (task: string, revision: number) => registry.revisions(task).has(revision)
  for (const driver of drivers.values()) driver.prune?.(exists)
}
