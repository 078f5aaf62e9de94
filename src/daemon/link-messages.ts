/**
 * What the data plane may say, as control believes it: the proxy and the egress relay face the world, so every message
 * of theirs is checked before it is acted upon.
 */

import * as z from 'zod'

import { QuiverError } from '../core/error.ts'
import type { FromEgress, FromProxy } from '../core/link.ts'
import type { MessageParser } from '../link/connection.ts'

const name = z.string().max(256)
const text = z.string().max(4096)
const count = z.number().int().nonnegative()
const time = z.number().nonnegative()
const counts = z.record(z.string().max(32), count)

const FROM_PROXY = {
  wake: z.object({
    type: z.literal('wake'),
    task: name,
    revision: count,
    waiting: count,
    // A proxy of an earlier version does not say it.
    inFlight: count.default(0),
  }),
  activity: z.object({
    type: z.literal('activity'),
    instances: z.array(
      z.object({ instance: name, inFlight: count, idleSinceMs: time, requests: count }),
    ),
  }),
  drained: z.object({ type: z.literal('drained'), instance: name }),
  busy: z.object({ type: z.literal('busy'), instance: name }),
  suspect: z.object({ type: z.literal('suspect'), instance: name, message: text }),
  firstByte: z.object({
    type: z.literal('firstByte'),
    instance: name,
    requestId: name,
    queueMs: time,
    atNs: time,
  }),
  counters: z.object({
    type: z.literal('counters'),
    tasks: z.record(
      name,
      z.object({
        requests: count,
        statuses: counts,
        bytesIn: count,
        bytesOut: count,
        starts: counts,
      }),
    ),
  }),
  publishFailed: z.object({
    type: z.literal('publishFailed'),
    task: name,
    address: name,
    hostPort: count,
    message: text,
  }),
} as const

const FROM_EGRESS = {
  denied: z.object({ type: z.literal('denied'), instance: name, target: text, reason: name }),
} as const

export const parseFromProxy = buildParser<FromProxy>(FROM_PROXY)
export const parseFromEgress = buildParser<FromEgress>(FROM_EGRESS)

function buildParser<Message>(
  schemas: Readonly<Record<string, z.ZodType<Message>>>,
): MessageParser<Message> {
  return (raw) => {
    // Such as "toString", which every object has.
    if (!Object.hasOwn(schemas, raw.type)) return undefined
    const schema = schemas[raw.type]
    if (schema === undefined) return undefined
    const parsed = schema.safeParse(raw)
    if (parsed.success) return parsed.data
    const what = z.prettifyError(parsed.error)
    throw new QuiverError('invalid_argument', 'LINK_MALFORMED', `a "${raw.type}" message: ${what}`)
  }
}
