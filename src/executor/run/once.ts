/** A command that runs once, with the stdio, arguments and environment of its process. */

import { once } from 'node:events'
import type { Writable } from 'node:stream'

import { HostSession } from '../host/session.ts'
import { openSpecial } from '../host/special-files.ts'
import { isRunnable, judgeModule, notACommand, TABLE_ELEMENTS_MAX } from '../inspect.ts'
import { limitModule } from '../module.ts'
import type { ModulePlan, SharedFolder } from '../protocol.ts'
import type { ByteSink, ByteSource } from '../wasi/streams.ts'
import { type Preopen, Wasi, WasiExit } from '../wasi/wasi.ts'

import { ModuleBinding } from './binding.ts'
import { explain } from './failure.ts'
import { openRunFolders } from './folders.ts'
import { RunHost } from './run-host.ts'

/** As a shell has it for a program that a signal ended: a trap is the guest's SIGABRT. */
const TRAPPED = 134
const ENTRY = '_start'

/** A command with its world, ready to run. */
export interface OnceGuest extends Disposable {
  /** @throws WasiExit, or whatever it failed with */
  run(): Promise<void>
}

export interface Stdio {
  readonly stdin: ByteSource
  readonly stdout: ByteSink
  readonly stderr: ByteSink
}

/** @returns the status, 0 to 255. @throws QuiverError when the module cannot run at all */
export async function runOnce(
  bytes: Uint8Array<ArrayBuffer>,
  plan: ModulePlan,
  shared: readonly SharedFolder[],
): Promise<number> {
  using guest = await openGuest(bytes, plan, openRunFolders(shared))
  try {
    await guest.run()
    return 0
  } catch (thrown) {
    if (thrown instanceof WasiExit) return thrown.status
    const { message, reason } = explain(thrown)
    process.stderr.write(`quiver: ${message} (${reason})\n`)
    return TRAPPED
  } finally {
    process.stdin.destroy()
  }
}

async function openGuest(
  bytes: Uint8Array<ArrayBuffer>,
  plan: ModulePlan,
  preopens: readonly Preopen[],
): Promise<OnceGuest> {
  const { kind, links } = judgeModule(bytes)
  if (!isRunnable(kind)) throw notACommand(kind)
  const limits = { memoryBytesMax: plan.limits.memoryBytes, tableElementsMax: TABLE_ELEMENTS_MAX }
  const stdio = {
    stdin: new StdinSource(),
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
  }
  if (kind.kind === 'component') {
    const { openComponentOnce } = await import('./component-once.ts')
    return await openComponentOnce(bytes, limits, kind, plan, { ...stdio, preopens })
  }
  const module = await WebAssembly.compile(Uint8Array.from(limitModule(bytes, limits)))
  const binding = new ModuleBinding(module, null, links)
  const session = new HostSession(new RunHost(plan, (text) => process.stderr.write(text)))
  const wasi = new Wasi({
    ...stdio,
    args: [plan.argv0, ...plan.args],
    env: plan.env,
    preopens,
    fdsMax: plan.limits.files,
    openSpecial: (name, access) => openSpecial(session, name, access),
  })
  return {
    run: async () => {
      await binding.instantiate(wasi, session).callWaiting(ENTRY)
      // Its output, where it has used the host functions for it.
      if (session.answer !== null) await stdio.stdout.write(session.answer.body)
    },
    [Symbol.dispose]: () => wasi.close(),
  }
}

/** Begins to read only when the guest does. */
class StdinSource implements ByteSource {
  readonly isTerminal = process.stdin.isTTY
  #chunks: AsyncIterator<Buffer> | undefined

  async read(): Promise<Uint8Array | null> {
    this.#chunks ??= process.stdin[Symbol.asyncIterator]()
    const next = await this.#chunks.next()
    return next.done === true ? null : next.value
  }
}

function sinkOf(stream: Writable & { readonly isTTY?: boolean }) {
  return {
    isTerminal: stream.isTTY === true,
    write: (bytes: Uint8Array): void | Promise<void> => {
      if (stream.write(bytes)) return undefined
      return once(stream, 'drain').then(() => {})
    },
  }
}
