/** Types of the component model, resolved: no indices, no aliases. Plain data, so that a plan can be handed to a thread. */

import { createHash } from 'node:crypto'

export type ValueType =
  | { readonly kind: 'primitive'; readonly primitive: PrimitiveKind }
  | { readonly kind: 'record'; readonly fields: readonly NamedType[] }
  | { readonly kind: 'tuple'; readonly types: readonly ValueType[] }
  | { readonly kind: 'variant'; readonly cases: readonly CaseType[] }
  | { readonly kind: 'enum'; readonly names: readonly string[] }
  | { readonly kind: 'flags'; readonly names: readonly string[] }
  | { readonly kind: 'option'; readonly type: ValueType }
  | { readonly kind: 'result'; readonly ok: ValueType | null; readonly error: ValueType | null }
  | { readonly kind: 'list'; readonly type: ValueType }
  | { readonly kind: 'own' | 'borrow'; readonly resource: ResourceType }

export type PrimitiveKind =
  | 'bool'
  | 's8'
  | 'u8'
  | 's16'
  | 'u16'
  | 's32'
  | 'u32'
  | 's64'
  | 'u64'
  | 'f32'
  | 'f64'
  | 'char'
  | 'string'

export interface NamedType {
  readonly name: string
  readonly type: ValueType
}

export interface CaseType {
  readonly name: string
  readonly type: ValueType | null
}

export interface FunctionType {
  readonly params: readonly NamedType[]
  readonly result: ValueType | null
}

/** One object for each resource: two that look alike are different. */
export interface ResourceType {
  /** Interface without version and name, as `wasi:io/streams/input-stream`; empty for one that a component defines. */
  readonly name: string
  /** The component instance that defines it, by number; null: the host does. */
  readonly owner: number | null
  /** Of a core function that is called with what the handle stands for. */
  readonly destructor: CoreItem | null
}

/** Something of a core module that is instantiated, or a function made here. */
export type CoreItem =
  | { readonly from: 'instance'; readonly instance: number; readonly name: string }
  | { readonly from: 'canon'; readonly index: number }

/** Short, and equal for equal types alone. */
export function hashSignature(type: FunctionType): string {
  return createHash('sha256').update(describeFunction(type)).digest('hex').slice(0, 16)
}

/** As WIT writes it, with names of resources of the host in full: equal texts are equal types. */
export function describeFunction({ params, result }: FunctionType): string {
  const described = params.map(({ type }) => describeType(type)).join(', ')
  return `(${described})${result === null ? '' : ` -> ${describeType(result)}`}`
}

/** Parts of a type that occur more than once are written more than once, so long ones are cut. */
export function describeType(type: ValueType, budget = { left: 2000 }): string {
  const inner = (one: ValueType | null): string => (one === null ? '_' : describeType(one, budget))
  budget.left--
  if (budget.left < 0) return '…'
  switch (type.kind) {
    case 'record':
      return `record{${type.fields.map(({ name, type: one }) => `${name}: ${inner(one)}`).join(', ')}}`
    case 'tuple':
      return `tuple<${type.types.map(inner).join(', ')}>`
    case 'variant':
      return `variant{${type.cases
        .map(({ name, type: one }) => (one === null ? name : `${name}(${inner(one)})`))
        .join(', ')}}`
    case 'enum':
    case 'flags':
      return `${type.kind}{${type.names.join(', ')}}`
    case 'option':
    case 'list':
      return `${type.kind}<${inner(type.type)}>`
    case 'result':
      return `result<${inner(type.ok)}, ${inner(type.error)}>`
    case 'own':
    case 'borrow':
      return `${type.kind}<${type.resource.name}>`
    case 'primitive':
      return type.primitive
    default:
      return type satisfies never
  }
}
