/** What a component's binary says, section by section, with the indices that it uses. Nothing is resolved yet. */

import type { PrimitiveKind } from './types.ts'

export type Sort =
  | 'func'
  | 'value'
  | 'type'
  | 'component'
  | 'instance'
  | 'core func'
  | 'core table'
  | 'core memory'
  | 'core global'
  | 'core type'
  | 'core module'
  | 'core instance'

export interface SortIndex {
  readonly sort: Sort
  readonly index: number
}

export interface NamedIndex extends SortIndex {
  readonly name: string
}

/** A primitive type, or the index of one that is defined. */
export type TypeRef = PrimitiveKind | number

export type ValueSyntax =
  | { readonly kind: 'alias'; readonly type: TypeRef }
  | {
      readonly kind: 'record'
      readonly fields: readonly { readonly name: string; readonly type: TypeRef }[]
    }
  | { readonly kind: 'tuple'; readonly types: readonly TypeRef[] }
  | {
      readonly kind: 'variant'
      readonly cases: readonly { readonly name: string; readonly type: TypeRef | null }[]
    }
  | { readonly kind: 'enum' | 'flags'; readonly names: readonly string[] }
  | { readonly kind: 'option' | 'list'; readonly type: TypeRef }
  | { readonly kind: 'result'; readonly ok: TypeRef | null; readonly error: TypeRef | null }
  | { readonly kind: 'own' | 'borrow'; readonly resource: number }

export type TypeSyntax =
  | { readonly kind: 'value'; readonly type: ValueSyntax }
  | {
      readonly kind: 'func'
      readonly params: readonly { readonly name: string; readonly type: TypeRef }[]
      readonly result: TypeRef | null
    }
  | { readonly kind: 'instance'; readonly declarations: readonly Declaration[] }
  /** What a nested component looks like from outside: nothing is made of it. */
  | { readonly kind: 'component' }
  | { readonly kind: 'resource'; readonly destructor: number | null }

export type AliasSyntax =
  | {
      readonly kind: 'alias'
      readonly sort: Sort
      readonly from: 'instance' | 'core instance'
      readonly index: number
      readonly name: string
    }
  | {
      readonly kind: 'alias'
      readonly sort: Sort
      readonly from: 'outer'
      readonly depth: number
      readonly index: number
    }

/** What an import, or a declared export, is. */
export type ExternSyntax =
  | { readonly kind: 'func' | 'instance' | 'component' | 'core module'; readonly type: number }
  | { readonly kind: 'value' }
  | { readonly kind: 'type'; readonly equals: number | null }

export type Declaration =
  | { readonly kind: 'type'; readonly type: TypeSyntax }
  | AliasSyntax
  | { readonly kind: 'export'; readonly name: string; readonly extern: ExternSyntax }

export interface CanonOptions {
  readonly encoding: 'utf8' | 'utf16' | 'latin1+utf16'
  /** Indices. */
  readonly memory: number | null
  readonly realloc: number | null
  readonly postReturn: number | null
}

export type CanonSyntax =
  | {
      readonly op: 'lift'
      readonly func: number
      readonly type: number
      readonly options: CanonOptions
    }
  | { readonly op: 'lower'; readonly func: number; readonly options: CanonOptions }
  | {
      readonly op: 'resource.new' | 'resource.drop' | 'resource.rep'
      readonly type: number
    }

export type Definition =
  | { readonly kind: 'core module'; readonly start: number; readonly end: number }
  | {
      readonly kind: 'core instance'
      readonly module: number
      readonly args: readonly { readonly name: string; readonly instance: number }[]
    }
  | { readonly kind: 'core exports'; readonly exports: readonly NamedIndex[] }
  | { readonly kind: 'component'; readonly component: ComponentSyntax }
  | {
      readonly kind: 'instance'
      readonly component: number
      readonly args: readonly NamedIndex[]
    }
  | { readonly kind: 'exports'; readonly exports: readonly NamedIndex[] }
  | AliasSyntax
  | { readonly kind: 'type'; readonly type: TypeSyntax }
  | { readonly kind: 'canon'; readonly canon: CanonSyntax }
  | { readonly kind: 'import'; readonly name: string; readonly extern: ExternSyntax }
  | { readonly kind: 'export'; readonly name: string; readonly of: SortIndex }

export interface ComponentSyntax {
  readonly definitions: readonly Definition[]
}
