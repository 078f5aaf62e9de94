/** The settings of a node that its operator may choose, in `node.toml`, as `QUIVER_*` or as flags. */

import path from 'node:path'

import * as z from 'zod'

import { QuiverError } from '../core/error.ts'
import {
  contains,
  formatSubnet,
  isHost,
  parseIpv4,
  parseSubnet,
  type Subnet,
} from '../core/ipv4.ts'
import { parseName } from '../core/name.ts'

import { parseListenAddress } from './address.ts'
import * as field from './fields.ts'

const ADDRESSES = 'An IP address and port, or a port for loopback'
const listenOrOff = field.parsed((text) => (text === 'off' ? null : parseListenAddress(text, 0)))

export const NodeSchema = z.strictObject({
  data: location(absolute).describe('Folder of everything that lasts.'),
  run: location(runPath).describe('Folder of sockets; short, as socket paths end at 107 bytes.'),
  domain: field
    .checked(parseDomain)
    .prefault('localhost')
    .describe('Domain that tasks without routes are below: `<name>.<domain>`.'),
  listen: z
    .strictObject({
      http: field
        .parsed((text) => parseListenAddress(text, 0))
        .prefault('127.0.0.1:8080')
        .describe(`Where HTTP requests come in. ${ADDRESSES}.`),
      https: listenOrOff
        .prefault('127.0.0.1:8443')
        .describe(`Where HTTPS requests come in. ${ADDRESSES}, or \`off\`.`),
      api: listenOrOff
        .prefault('off')
        .describe(
          `Where the control API listens beside its unix socket; needs tokens. ${ADDRESSES}, or \`off\`.`,
        ),
    })
    .prefault({}),
  tls: z
    .strictObject({
      certificate: location(absolute)
        .optional()
        .describe('PEM file of the certificate chain; self-signed unless given.'),
      key: location(absolute).optional().describe('PEM file of its private key.'),
    })
    .prefault({}),
  uid: z
    .strictObject({
      base: field
        .whole(1000, 2_000_000_000)
        .default(200_000)
        .describe('First user id that tasks get; proxy and egress have the first two.'),
      size: field
        .whole(3, 1_000_000)
        .default(25_000)
        .describe('Number of user ids; counts for new nodes only.'),
    })
    .prefault({}),
  bridge: z
    .strictObject({
      name: field
        .matching(
          /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/,
          'the name of a bridge',
          'Write the name of a bridge that the machine has, such as "br0".',
        )
        .optional()
        .describe(
          'Bridge of the machine that tasks with `network = "bridge"` are connected to; one that they have for themselves unless given.',
        ),
      subnet: field
        .parsed(parseSubnet)
        .prefault('10.83.0.0/16')
        .describe('Subnet of the bridge; no other network that the machine reaches may have it.'),
      range: field
        .parsed(parseSubnet)
        .optional()
        .describe('Part of the subnet that addresses are chosen from; all of it unless given.'),
      gateway: field
        .parsed(parseIpv4)
        .optional()
        .describe('Address of the way out of the bridge; none unless given.'),
    })
    .prefault({}),
  limits: z
    .strictObject({
      tasks: field.whole(1, 1_000_000).default(20_000).describe('Most tasks that can be deployed.'),
      instances: field.whole(1, 100_000).default(1000).describe('Most instances at a time.'),
    })
    .prefault({}),
})

/** A path; a relative one is taken from the caller's folder when it comes from a flag or variable. */
function location(parse: (text: string) => string) {
  return field.parsed(parse).meta({ format: 'path' })
}

/** What two settings of the bridge must agree in. @returns the name of the one that is wrong, why, and what to do */
export function checkBridge({
  name,
  subnet,
  range,
  gateway,
}: NodeConfig['bridge']): readonly [name: string, message: string, hint: string] | undefined {
  const of = `bridge.subnet, ${formatSubnet(subnet)}`
  if (range !== undefined && !isWithin(range, subnet))
    return ['bridge.range', `is not within ${of}`, 'Choose a part of the subnet.']
  if (gateway === undefined) return undefined
  if (!isHost(subnet, gateway))
    return ['bridge.gateway', `is nobody within ${of}`, 'Write the address of a host there.']
  if (name !== undefined) return undefined
  const hint = 'Set bridge.name to a bridge that leads there, or leave bridge.gateway out.'
  return ['bridge.gateway', 'leads nowhere: the bridge is for tasks alone', hint]
}

function isWithin(inner: Subnet, outer: Subnet): boolean {
  return inner.prefixBits >= outer.prefixBits && contains(outer, inner.base)
}

/** All settings of a node, with every default filled in. */
export type NodeConfig = z.output<typeof NodeSchema>

function absolute(text: string): string {
  if (path.isAbsolute(text) && !text.includes('\0')) return path.normalize(text)
  throw new QuiverError('invalid_argument', 'PATH_INVALID', `"${text}" is not an absolute path`, {
    hint: 'Write a path that begins with a slash.',
  })
}

const RUN_BYTES_MAX = 60

function runPath(text: string): string {
  const folder = absolute(text)
  if (Buffer.byteLength(folder) <= RUN_BYTES_MAX) return folder
  throw new QuiverError('invalid_argument', 'PATH_INVALID', `"${text}" is too long for sockets`, {
    hint: `Use a path of at most ${RUN_BYTES_MAX} bytes, such as "/run/quiver".`,
  })
}

function parseDomain(text: string): void {
  for (const label of text.split('.')) parseName(label, 'domain')
}
