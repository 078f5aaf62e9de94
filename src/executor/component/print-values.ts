/** Values of WIT as `quiver invoke` prints them: in the form that parse-values.ts reads. */

import type { ValueType } from './types.ts'

/** @returns null: it returns nothing */
export function formatValue(type: ValueType | null, value: unknown): string | null {
  if (type === null) return null
  if (type.kind === 'primitive' || type.kind === 'enum') return primitiveText(value)
  return toJson(type, value)
}

function primitiveText(value: unknown): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

/** As `fromJson` reads it. */
function toJson(type: ValueType | null, value: unknown): string {
  if (type === null) return 'null'
  switch (type.kind) {
    case 'primitive':
      return typeof value === 'string' ? JSON.stringify(value) : numberJson(value)
    case 'enum':
      return JSON.stringify(value)
    case 'flags': {
      const bits = Number(value)
      return JSON.stringify(type.names.filter((_, index) => ((bits >>> index) & 1) === 1))
    }
    case 'list': {
      const values: readonly unknown[] = value instanceof Uint8Array ? [...value] : arrayOf(value)
      return `[${values.map((one) => toJson(type.type, one)).join(',')}]`
    }
    case 'tuple': {
      const values = arrayOf(value)
      return `[${type.types.map((one, index) => toJson(one, values[index])).join(',')}]`
    }
    case 'record': {
      const fields = recordOf(value)
      const parts = type.fields.map(
        ({ name, type: one }) => `${JSON.stringify(name)}:${toJson(one, fields[name])}`,
      )
      return `{${parts.join(',')}}`
    }
    case 'option': {
      const inner = type.type.kind === 'option' ? arrayOf(value)[0] : value
      return value === undefined ? 'null' : toJson(type.type, inner)
    }
    case 'result':
      return caseJson({ ok: type.ok, err: type.error }, value)
    case 'variant':
      return caseJson(Object.fromEntries(type.cases.map((one) => [one.name, one.type])), value)
    case 'own':
    case 'borrow':
      return 'null'
    default:
      return type satisfies never
  }
}

/** What JSON cannot say is a text. */
function numberJson(value: unknown): string {
  const text = primitiveText(value)
  return typeof value === 'number' && !Number.isFinite(value) ? JSON.stringify(text) : text
}

function caseJson(types: Readonly<Record<string, ValueType | null>>, value: unknown): string {
  const { tag = '', val } = recordOf(value)
  const name = JSON.stringify(String(tag))
  const type = types[String(tag)] ?? null
  return type === null ? name : `{${name}:${toJson(type, val)}}`
}

function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
