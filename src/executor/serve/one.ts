/** One module, in a sandbox of its own: the same threads as in a pool, and logs on stderr. */

import { judgeModule } from '../inspect.ts'
import { limitModule } from '../module.ts'
import type { ModulePlan } from '../protocol.ts'

import { BlankThread, ModuleServer } from './module-server.ts'

const WATCH_MS = 50
const TABLE_ELEMENTS_MAX = 1_000_000

/** Resolves when it listens. @throws QuiverError as `judgeModule`, `limitModule` and `ModuleServer.start` do */
export async function serveOne(
  bytes: Uint8Array<ArrayBuffer>,
  plan: ModulePlan,
  port: number,
): Promise<void> {
  const thread = new BlankThread()
  const { kind } = judgeModule(bytes)
  const limits = { memoryBytesMax: plan.limits.memoryBytes, tableElementsMax: TABLE_ELEMENTS_MAX }
  const module = await WebAssembly.compile(Uint8Array.from(limitModule(bytes, limits)))
  let first: BlankThread | undefined = thread
  const take = (): BlankThread => {
    const taken = first ?? new BlankThread()
    first = undefined
    return taken
  }
  const server = new ModuleServer(
    { module, kind, plan },
    take,
    {
      onLog: (stream, _atMs, text) => {
        void (stream === 'stdout' ? process.stdout : process.stderr).write(text)
      },
      // What is logged says it.
      onBroke: () => {},
    },
    port,
  )
  await server.start()
  setInterval(() => server.watch(), WATCH_MS)
}
