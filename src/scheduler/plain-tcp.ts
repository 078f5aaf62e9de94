/**
 * Plain TCP connections to WebAssembly are refused. Who calls, and for whom, the proxy writes into HTTP requests (`X-Quiver-From`), and a
 * module believes it: over plain TCP, a task could write there what it likes.
 */

import { QuiverError } from '../core/error.ts'
import type { TaskSpec } from '../core/task.ts'

/** Of the registry. */
interface Neighbours {
  readonly get: (task: string) => object | undefined
  readonly specsOfOthers: (task: string) => Iterable<TaskSpec>
}

/**
 * Whichever of the two is deployed second is refused.
 *
 * @param isModule  whether `spec` is of a module
 * @throws QuiverError `invalid_argument/TCP_TO_MODULE`
 */
export async function assertNoPlainTcp(
  spec: TaskSpec,
  isModule: boolean,
  registry: Neighbours,
  isModuleTask: (task: string) => Promise<boolean>,
): Promise<void> {
  for (const { task, kind } of spec.connect) {
    if (kind !== 'tcp') continue
    const isOwn = task === spec.name
    if (!isOwn && registry.get(task) === undefined) continue
    if (isOwn ? isModule : await isModuleTask(task)) throw refused(spec.name, task)
  }
  if (!isModule) return
  for (const other of registry.specsOfOthers(spec.name)) {
    const isConnected = other.connect.some(({ task, kind }) => task === spec.name && kind === 'tcp')
    if (isConnected) throw refused(other.name, spec.name)
  }
}

function refused(caller: string, callee: string): QuiverError {
  const message = `${caller} connects to ${callee} over plain TCP, and ${callee} is WebAssembly: it could not know who calls`
  return new QuiverError('invalid_argument', 'TCP_TO_MODULE', message, {
    hint: `Leave out kind = "tcp" in the [[connect]] of ${caller}: it reaches http://${callee}/ then.`,
  })
}
