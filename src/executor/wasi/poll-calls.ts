/** `poll_oneoff`: waits for clocks and descriptors, while the thread goes on with other guests. */

import { CLOCK_ABSTIME, EVENT, EVENT_BYTES, EVENT_HANGUP, RIGHT, type AbiVersion } from './abi.ts'
import { timeOf } from './clock.ts'
import type { Descriptor } from './descriptors.ts'
import { ERRNO, errnoOfThrown, fail } from './errno.ts'
import type { GuestMemory } from './guest-memory.ts'
import { assertRight, type Abi, type Guest } from './guest.ts'
import type { Reader } from './streams.ts'

/** More than a guest can have open. */
const SUBSCRIPTIONS_MAX = 4096
/** What is said of something that takes any number of bytes: at least this many at once. */
const WRITABLE_BYTES = 65_536

type Subscription =
  | { readonly userdata: bigint; readonly type: typeof EVENT.CLOCK; readonly deadline: Deadline }
  | {
      readonly userdata: bigint
      readonly type: typeof EVENT.FD_READ | typeof EVENT.FD_WRITE
      readonly fd: number
    }

interface Deadline {
  readonly clock: number
  readonly atNs: bigint
}

interface Event {
  readonly userdata: bigint
  readonly type: number
  readonly errno: number
  readonly bytes: bigint
  readonly flags: number
}

export function pollOneoff(
  { guest, version }: Abi,
  subscriptions: number,
  events: number,
  count: number,
  result: number,
): number | Promise<number> {
  if (count === 0 || count >>> 0 > SUBSCRIPTIONS_MAX) return ERRNO.INVAL
  guest.memory.check(subscriptions, count * version.subscriptionBytes)
  guest.memory.check(events, count * EVENT_BYTES)
  guest.memory.check(result, 4)
  const wanted: Subscription[] = []
  for (let index = 0; index < count; index += 1) {
    const at = (subscriptions >>> 0) + index * version.subscriptionBytes
    wanted.push(parseSubscription(guest, at, version))
  }
  const ready = wanted.map((each) => eventOf(guest, each)).filter((each) => each !== undefined)
  if (ready.length > 0) return putEvents(guest.memory, ready, events, result)
  return pollLater(guest, wanted, events, result)
}

async function pollLater(
  guest: Guest,
  wanted: readonly Subscription[],
  events: number,
  result: number,
): Promise<number> {
  for (;;) {
    await guest.wait({ readers: readersOf(guest, wanted), durationMs: durationOf(guest, wanted) })
    const ready = wanted.map((each) => eventOf(guest, each)).filter((each) => each !== undefined)
    if (ready.length > 0) return putEvents(guest.memory, ready, events, result)
  }
}

/** Throws `INVAL` for a kind of event that does not exist. */
function parseSubscription(guest: Guest, at: number, version: AbiVersion): Subscription {
  const { memory } = guest
  const userdata = memory.u64(at)
  const type = memory.u8(at + 8)
  if (type === EVENT.FD_READ || type === EVENT.FD_WRITE) {
    return { userdata, type, fd: memory.u32(at + 16) }
  }
  if (type !== EVENT.CLOCK) return fail(ERRNO.INVAL)
  const clockAt = at + version.subscriptionClockAt
  const clock = memory.u32(clockAt)
  const timeoutNs = memory.u64(clockAt + 8)
  const isAbsolute = (memory.u16(clockAt + 24) & CLOCK_ABSTIME) !== 0
  const startNs = isAbsolute ? 0n : timeOf(guest.clock, clock)
  return { userdata, type, deadline: { clock, atNs: startNs + timeoutNs } }
}

/** What there is to say by now; undefined if it is to be waited for. */
function eventOf(guest: Guest, wanted: Subscription): Event | undefined {
  const { userdata, type } = wanted
  const event = { userdata, type, errno: ERRNO.SUCCESS, bytes: 0n, flags: 0 }
  try {
    if (wanted.type === EVENT.CLOCK)
      return remainingNs(guest, wanted.deadline) > 0n ? undefined : event
    const descriptor = guest.descriptors.get(wanted.fd)
    assertRight(descriptor.base, RIGHT.POLL_FD_READWRITE)
    if (wanted.type === EVENT.FD_WRITE) {
      assertRight(descriptor.base, RIGHT.FD_WRITE)
      return { ...event, bytes: BigInt(WRITABLE_BYTES) }
    }
    return readEventOf(descriptor, event)
  } catch (thrown) {
    const errno = errnoOfThrown(thrown)
    if (errno === undefined) throw thrown
    return { ...event, errno }
  }
}

function readEventOf(descriptor: Descriptor, event: Event): Event | undefined {
  if (descriptor.kind === 'listener')
    return descriptor.listener.isReady?.() === false ? undefined : event
  assertRight(descriptor.base, RIGHT.FD_READ)
  if (descriptor.kind === 'directory') return event
  if (descriptor.kind === 'file') {
    const left = descriptor.file.stat().bytes - BigInt(descriptor.position)
    return { ...event, bytes: left > 0n ? left : 0n }
  }
  const { reader } = descriptor
  reader?.readAhead()
  const available = reader === undefined ? 0 : reader.available
  if (available === undefined) return undefined
  const flags = reader === undefined || reader.isAtEnd ? EVENT_HANGUP : 0
  return { ...event, bytes: BigInt(available), flags }
}

function readersOf(guest: Guest, wanted: readonly Subscription[]): readonly Reader[] {
  const readers = wanted.map((each) => {
    const descriptor = each.type === EVENT.FD_READ ? guest.descriptors.peek(each.fd) : undefined
    const isRead = descriptor?.kind === 'stream' || descriptor?.kind === 'connection'
    return isRead ? descriptor.reader : undefined
  })
  return readers.filter((each) => each !== undefined)
}

/** Until the first deadline; undefined if there is none. */
function durationOf(guest: Guest, wanted: readonly Subscription[]): number | undefined {
  const remaining = wanted
    .filter((each) => each.type === EVENT.CLOCK)
    .map(({ deadline }) => Math.ceil(Number(remainingNs(guest, deadline)) / 1_000_000))
  return remaining.length === 0 ? undefined : Math.max(0, Math.min(...remaining))
}

/** Throws `INVAL` for a clock that does not exist. */
function remainingNs(guest: Guest, { clock, atNs }: Deadline): bigint {
  return atNs - timeOf(guest.clock, clock)
}

function putEvents(
  memory: GuestMemory,
  ready: readonly Event[],
  events: number,
  result: number,
): number {
  for (const [index, event] of ready.entries()) {
    const at = (events >>> 0) + index * EVENT_BYTES
    memory.range(at, EVENT_BYTES).fill(0)
    memory.setU64(at, event.userdata)
    memory.setU16(at + 8, event.errno)
    memory.setU8(at + 10, event.type)
    memory.setU64(at + 16, event.bytes)
    memory.setU16(at + 24, event.flags)
  }
  memory.setU32(result, ready.length)
  return ERRNO.SUCCESS
}
