/** Arguments of bubblewrap, by what they do. */

import type { Mount } from '../driver.ts'

/** Read-only. */
export function bind(source: string, target: string): readonly string[] {
  return ['--ro-bind', source, target]
}

export function bindMount({ source, target, isWritable }: Mount): readonly string[] {
  return isWritable ? ['--bind', source, target] : bind(source, target)
}

/** An empty folder in memory that everybody may write to. */
export function tmpfs(target: string, bytes: number): readonly string[] {
  return ['--size', String(bytes), '--perms', '1777', '--tmpfs', target]
}
