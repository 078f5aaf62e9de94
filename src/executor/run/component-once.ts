/** A component of world `wasi:cli/command` that runs once, with the stdio of its process. */

import { type ComponentEntry, liftedFunction, prepareComponent } from '../component/prepare.ts'
import { ComponentProgram } from '../component/program.ts'
import type { ModuleLimits } from '../module.ts'
import type { ModulePlan } from '../protocol.ts'
import { WasiExit } from '../wasi/wasi-exit.ts'
import type { Preopen } from '../wasi/wasi.ts'
import { findHostFunction } from '../wasi02/interfaces.ts'
import { World } from '../wasi02/world.ts'

import { isError } from './component-result.ts'
import { Memories } from './memories.ts'
import type { OnceGuest, Stdio } from './once.ts'
import { Reach } from './reach.ts'

/** It runs alone, and as long as its run may. */
const UNWATCHED = { turns: null, count: () => null }

/** @throws QuiverError as `prepareComponent`, or whatever its core modules begin with */
export async function openComponentOnce(
  bytes: Uint8Array,
  limits: ModuleLimits,
  entry: ComponentEntry,
  plan: ModulePlan,
  outside: Stdio & { readonly preopens: readonly Preopen[] },
): Promise<OnceGuest> {
  const prepared = await prepareComponent(bytes, entry, limits)
  const memories = prepared.given.map((size) => size && new Memories(size))
  const program = new ComponentProgram(prepared, memories, findHostFunction)
  const write = (text: string): void => void outside.stderr.write(Buffer.from(text))
  // Whoever waits for the run ends its process, and all of this with it.
  const { signal } = new AbortController()
  const reach = new Reach({
    plan,
    chain: [],
    requestId: undefined,
    gone: signal,
    log: (text) => write(`quiver: ${text}\n`),
  })
  const world = new World({
    ...outside,
    args: [plan.argv0, ...plan.args],
    env: plan.env,
    filesMax: plan.limits.files,
    answerBytesMax: plan.limits.outputBytes,
    send: async (url, request) => await reach.open(url, { ...request, signal }),
    log: (level, context, message) =>
      write(`${level}: ${context === '' ? '' : `${context}: `}${message}\n`),
  })
  const run = liftedFunction(prepared.plan, entry)
  const instance = program.instantiate(world, UNWATCHED)
  return {
    run: async () => {
      if (isError(await instance.call(run, []))) throw new WasiExit(1)
    },
    [Symbol.dispose]: () => instance.close(),
  }
}
