/** One module, in a sandbox of its own: the same threads as in a pool, and logs on stderr. */

import type { ModulePlan } from '../protocol.ts'

import { BlankThread, ModuleServer } from './module-server.ts'
import { prepareModule } from './prepare.ts'

const WATCH_MS = 50

/** Resolves when it listens. @throws QuiverError as `judgeModule`, `limitModule` and `ModuleServer.start` do */
export async function serveOne(
  bytes: Uint8Array<ArrayBuffer>,
  plan: ModulePlan,
  port: number,
): Promise<void> {
  const thread = new BlankThread()
  const served = await prepareModule(bytes, plan, null)
  let first: BlankThread | undefined = thread
  const take = (): BlankThread => {
    const taken = first ?? new BlankThread()
    first = undefined
    return taken
  }
  const server = new ModuleServer(
    served,
    take,
    {
      onLog: (stream, _atMs, text) => {
        void (stream === 'stdout' ? process.stdout : process.stderr).write(text)
      },
      // What is logged says it.
      onBreach: () => {},
    },
    port,
  )
  await server.start()
  setInterval(() => server.watch(), WATCH_MS)
}
