/** `wasi:cli`, `wasi:clocks`, `wasi:random`, `wasi:config` and `wasi:logging`: small interfaces, each a few functions. */

import { randomFillSync } from 'node:crypto'

import { refuse } from '../component/handles.ts'
import type { HostCall } from '../component/host.ts'
import { SYSTEM_CLOCK } from '../wasi/clock.ts'
import { WasiExit } from '../wasi/wasi-exit.ts'

import { Pollable } from './io.ts'
import type { World } from './world.ts'

type Interface = Readonly<Record<string, HostCall<World>>>

const NS_PER_MS = 1_000_000n
/** Longer than any guest lives; timers cannot wait much longer. */
const WAIT_MS_MAX = 2n ** 31n - 1n
const RANDOM_BYTES_MAX = 64 * 1024 * 1024

export const ENVIRONMENT: Interface = {
  'get-environment': ({ env }) => Object.entries(env),
  'get-arguments': ({ args }) => args,
  'initial-cwd': () => undefined,
}

export const EXIT: Interface = {
  exit: (_world, status: { readonly tag: string }) => {
    throw new WasiExit(status.tag === 'ok' ? 0 : 1)
  },
  'exit-with-code': (_world, status: number) => {
    throw new WasiExit(status)
  },
}

export const STDIN: Interface = { 'get-stdin': ({ stdin }) => stdin }
export const STDOUT: Interface = { 'get-stdout': ({ stdout }) => stdout }
export const STDERR: Interface = { 'get-stderr': ({ stderr }) => stderr }

export const TERMINAL_STDIN: Interface = {
  'get-terminal-stdin': ({ terminals }) => terminalIf(terminals.stdin),
}
export const TERMINAL_STDOUT: Interface = {
  'get-terminal-stdout': ({ terminals }) => terminalIf(terminals.stdout),
}
export const TERMINAL_STDERR: Interface = {
  'get-terminal-stderr': ({ terminals }) => terminalIf(terminals.stderr),
}

/** A terminal has no functions: the guest only sees that there is one. */
function terminalIf(isTerminal: boolean): object | undefined {
  return isTerminal ? { name: 'terminal' } : undefined
}

export const MONOTONIC_CLOCK: Interface = {
  now: () => SYSTEM_CLOCK.monotonicNs(),
  resolution: () => 1n,
  'subscribe-instant': (_world, when: bigint) => timerAt(when),
  'subscribe-duration': (_world, duration: bigint) =>
    timerAt(SYSTEM_CLOCK.monotonicNs() + duration),
}

function timerAt(whenNs: bigint): Pollable {
  let timer: NodeJS.Timeout | undefined
  const leftNs = (): bigint => whenNs - SYSTEM_CLOCK.monotonicNs()
  const wait = (): Promise<void> => {
    const leftMs = (leftNs() + NS_PER_MS - 1n) / NS_PER_MS
    const { promise, resolve } = Promise.withResolvers<void>()
    clearTimeout(timer)
    timer = setTimeout(resolve, Number(leftMs > WAIT_MS_MAX ? WAIT_MS_MAX : leftMs))
    return promise
  }
  return new Pollable(
    () => leftNs() <= 0n,
    wait,
    () => clearTimeout(timer),
  )
}

export const WALL_CLOCK: Interface = {
  now: () => datetime(SYSTEM_CLOCK.realtimeNs()),
  resolution: () => datetime(SYSTEM_CLOCK.realtimeResolutionNs),
}

export interface Datetime {
  readonly seconds: bigint
  readonly nanoseconds: number
}

export function datetime(ns: bigint): Datetime {
  return { seconds: ns / 1_000_000_000n, nanoseconds: Number(ns % 1_000_000_000n) }
}

export const RANDOM: Interface = {
  'get-random-bytes': (_world, length: bigint) => randomBytes(length),
  'get-random-u64': () => randomU64(),
}

export const INSECURE: Interface = {
  'get-insecure-random-bytes': (_world, length: bigint) => randomBytes(length),
  'get-insecure-random-u64': () => randomU64(),
}

export const INSECURE_SEED: Interface = { 'insecure-seed': () => [randomU64(), randomU64()] }

function randomBytes(length: bigint): Uint8Array {
  if (length > RANDOM_BYTES_MAX) refuse(`it asks for ${length} random bytes at once`)
  return randomFillSync(new Uint8Array(Number(length)))
}

function randomU64(): bigint {
  return randomFillSync(new BigUint64Array(1))[0] ?? 0n
}

/** What `[env]` and secrets give, under the same names. */
export const CONFIG: Interface = {
  get: ({ env }, key: string) => (Object.hasOwn(env, key) ? env[key] : undefined),
  'get-all': ({ env }) => Object.entries(env),
}

export const LOGGING: Interface = {
  log: (world, level: string, context: string, message: string) =>
    world.log(level, context, message),
}
