/** Host functions about the guest itself: arguments, environment, clocks, random bytes, its end. */

import { resolutionOf, timeOf } from './clock.ts'
import { ERRNO, fail } from './errno.ts'
import type { Abi } from './guest.ts'
import { WasiExit } from './wasi-exit.ts'

const RANDOM_BYTES_MAX = 65_536

/** How a guest that raises a signal ends: as a shell reports it. */
const SIGNAL_STATUS = 128
/** Signals that end a process unless it handles them, which a guest cannot. */
const DEADLY = new Set([
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 23, 24, 25, 26, 28, 29, 30,
])
/** None, child, continue, urgent, window: nothing happens. */
const HARMLESS = new Set([0, 16, 17, 22, 27])
const SIGNALS_MAX = 30

export function argsSizesGet(abi: Abi, count: number, bytes: number): number {
  return putSizes(abi, abi.guest.settings.args, count, bytes)
}

export function argsGet(abi: Abi, pointers: number, bytes: number): number {
  return putStrings(abi, abi.guest.settings.args, pointers, bytes)
}

export function environSizesGet(abi: Abi, count: number, bytes: number): number {
  return putSizes(abi, environmentOf(abi), count, bytes)
}

export function environGet(abi: Abi, pointers: number, bytes: number): number {
  return putStrings(abi, environmentOf(abi), pointers, bytes)
}

export function clockResGet({ guest }: Abi, id: number, result: number): number {
  guest.memory.setU64(result, resolutionOf(guest.clock, id))
  return ERRNO.SUCCESS
}

export function clockTimeGet(
  { guest }: Abi,
  id: number,
  _precision: bigint,
  result: number,
): number {
  guest.memory.setU64(result, timeOf(guest.clock, id))
  return ERRNO.SUCCESS
}

export function randomGet({ guest }: Abi, pointer: number, length: number): number {
  const bytes = guest.memory.range(pointer, length)
  const fill = guest.settings.random ?? fillFromSystem
  for (let at = 0; at < bytes.byteLength; at += RANDOM_BYTES_MAX) {
    fill(bytes.subarray(at, at + RANDOM_BYTES_MAX))
  }
  return ERRNO.SUCCESS
}

/** Lets others on the thread go on first. */
export async function schedYield(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  setImmediate(resolve)
  await promise
  return ERRNO.SUCCESS
}

export function procExit({ guest }: Abi, code: number): never {
  const exit = new WasiExit(code >>> 0)
  guest.stop(exit)
  throw exit
}

export function procRaise({ guest }: Abi, signal: number): number {
  if (HARMLESS.has(signal)) return ERRNO.SUCCESS
  if (signal >>> 0 > SIGNALS_MAX) fail(ERRNO.INVAL)
  if (!DEADLY.has(signal)) fail(ERRNO.NOTSUP)
  const exit = new WasiExit(SIGNAL_STATUS + signal, signal)
  guest.stop(exit)
  throw exit
}

function environmentOf({ guest }: Abi): readonly string[] {
  return Object.entries(guest.settings.env).map(([key, value]) => `${key}=${value}`)
}

function putSizes(
  { guest }: Abi,
  strings: readonly string[],
  count: number,
  bytes: number,
): number {
  guest.memory.setU32(count, strings.length)
  guest.memory.setU32(bytes, encode(strings).byteLength)
  return ERRNO.SUCCESS
}

function putStrings(
  { guest }: Abi,
  strings: readonly string[],
  pointers: number,
  bytes: number,
): number {
  const encoded = encode(strings)
  guest.memory.check(pointers, strings.length * 4)
  const target = guest.memory.range(bytes, encoded.byteLength)
  target.set(encoded)
  let at = 0
  for (let index = 0; index < strings.length; index += 1) {
    guest.memory.setU32((pointers >>> 0) + index * 4, (bytes >>> 0) + at)
    at = encoded.indexOf(0, at) + 1
  }
  return ERRNO.SUCCESS
}

/** Each string and a NUL; what follows a NUL in a string is cut off, as C would. */
function encode(strings: readonly string[]): Uint8Array {
  if (strings.length === 0) return new Uint8Array(0)
  return Buffer.from(`${strings.map(cutAtNul).join('\0')}\0`)
}

function cutAtNul(text: string): string {
  const end = text.indexOf('\0')
  return end === -1 ? text : text.slice(0, end)
}

/** `node:crypto` is loaded by the first guest that wants random bytes. */
function fillFromSystem(bytes: Uint8Array): void {
  process.getBuiltinModule('node:crypto').randomFillSync(bytes)
}
