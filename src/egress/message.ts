/** What control sends to the egress relay, parsed: from an object of unknown content to a `ToEgress`. */

import { QuiverError } from '../core/error.ts'
import type { Grant, GrantTarget, ToEgress } from '../core/link.ts'
import type { RawMessage } from '../link/connection.ts'

/**
 * @returns undefined for a message of a type that is not known here
 * @throws QuiverError `invalid_argument/LINK_MALFORMED`
 */
export function parseToEgress(raw: RawMessage): ToEgress | undefined {
  if (raw.type === 'policy')
    return { type: 'policy', grants: listOf(raw, 'grants').map(parseGrant) }
  if (raw.type === 'grant') return { type: 'grant', grant: parseGrant(raw['grant']) }
  if (raw.type === 'revoke') return { type: 'revoke', instance: textOf(raw, 'instance') }
  return undefined
}

type Fields = Readonly<Record<string, unknown>>

function parseGrant(value: unknown): Grant {
  const fields = fieldsOf(value, 'grant')
  return {
    instance: textOf(fields, 'instance'),
    task: textOf(fields, 'task'),
    token: textOf(fields, 'token'),
    targets: listOf(fields, 'targets').map(parseTarget),
  }
}

function parseTarget(value: unknown): GrantTarget {
  const fields = fieldsOf(value, 'target')
  const name = textOf(fields, 'name').toLowerCase()
  const port = portOf(fields)
  if (fields['kind'] === 'host') {
    // Absent means no: what is not said to be allowed is not.
    return { kind: 'host', name, port, isPrivateAllowed: fields['isPrivateAllowed'] === true }
  }
  const protocol = fields['protocol']
  if (fields['kind'] === 'task' && (protocol === 'http' || protocol === 'tcp')) {
    return { kind: 'task', name, port, task: textOf(fields, 'task'), protocol }
  }
  throw malformed('target')
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null) throw malformed(what)
  return { ...value }
}

function listOf(fields: Fields, key: string): readonly unknown[] {
  const value = fields[key]
  if (!Array.isArray(value)) throw malformed(key)
  return value
}

/** Text without white space, since it goes into preambles and log lines. */
function textOf(fields: Fields, key: string): string {
  const value = fields[key]
  if (typeof value !== 'string' || !/^\S{1,512}$/.test(value)) throw malformed(key)
  return value
}

function portOf(fields: Fields): number {
  const port = fields['port']
  const isPort = typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536
  if (!isPort) throw malformed('port')
  return port
}

function malformed(what: string): QuiverError {
  return new QuiverError('invalid_argument', 'LINK_MALFORMED', `control sent a bad ${what}`)
}
