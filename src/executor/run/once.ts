/** A command that runs once, with the stdio, arguments and environment of its process. */

import { once } from 'node:events'
import type { Writable } from 'node:stream'

import { judgeModule, notACommand, TABLE_ELEMENTS_MAX } from '../inspect.ts'
import { limitModule } from '../module.ts'
import type { ModulePlan } from '../protocol.ts'
import type { ByteSource } from '../wasi/streams.ts'
import { Wasi, WasiExit } from '../wasi/wasi.ts'

import { ModuleBinding } from './binding.ts'
import { explain } from './failure.ts'

/** As a shell has it for a program that a signal ended: a trap is the guest's SIGABRT. */
const TRAPPED = 134

/** @returns the status, 0 to 255. @throws QuiverError when the module cannot run at all */
export async function runOnce(bytes: Uint8Array<ArrayBuffer>, plan: ModulePlan): Promise<number> {
  const { kind } = judgeModule(bytes)
  if (kind.kind !== 'command') throw notACommand(kind.kind)
  const limits = { memoryBytesMax: plan.limits.memoryBytes, tableElementsMax: TABLE_ELEMENTS_MAX }
  const module = await WebAssembly.compile(Uint8Array.from(limitModule(bytes, limits)))
  const binding = new ModuleBinding(module, null, [])
  const wasi = new Wasi({
    args: [plan.argv0, ...plan.args],
    env: plan.env,
    stdin: new StdinSource(),
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    fdsMax: plan.limits.files,
  })
  try {
    const instance = binding.instantiate(wasi, null)
    await instance.callWaiting(kind.entry)
    return 0
  } catch (thrown) {
    if (thrown instanceof WasiExit) return thrown.status
    const { message, reason } = explain(thrown)
    process.stderr.write(`quiver: ${message} (${reason})\n`)
    return TRAPPED
  } finally {
    wasi.close()
    process.stdin.destroy()
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
