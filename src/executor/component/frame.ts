/** The index spaces of one component instance while it is linked, or of one instance type. */

import { QuiverError } from '../../core/error.ts'

import type { FunctionPlan } from './plan.ts'
import type { ComponentSyntax, Declaration, Sort } from './syntax.ts'
import type { CoreItem, FunctionType, ResourceType, ValueType } from './types.ts'

export type TypeItem =
  | { readonly kind: 'value'; readonly type: ValueType }
  | { readonly kind: 'func'; readonly type: FunctionType }
  | { readonly kind: 'resource'; readonly resource: ResourceType }
  | {
      readonly kind: 'instance'
      readonly declarations: readonly Declaration[]
      readonly frame: Frame
    }
  | { readonly kind: 'component' }

export type Item =
  | { readonly sort: 'func'; readonly func: FunctionPlan }
  | { readonly sort: 'type'; readonly type: TypeItem }
  | { readonly sort: 'component'; readonly component: ComponentSyntax; readonly frame: Frame }
  | { readonly sort: 'instance'; readonly exports: ReadonlyMap<string, Item> }
  | {
      readonly sort: 'core func' | 'core table' | 'core memory' | 'core global'
      readonly item: CoreItem
    }
  | { readonly sort: 'core module'; readonly module: number }
  /** `number`: one that is made of a module; else items under names. */
  | {
      readonly sort: 'core instance'
      readonly of: number | ReadonlyMap<string, Item>
    }

export class Frame {
  readonly parent: Frame | null
  /** Number of the component instance. */
  readonly owner: number
  readonly #spaces = new Map<Sort, Item[]>()

  constructor(parent: Frame | null, owner: number) {
    this.parent = parent
    this.owner = owner
  }

  push(item: Item): void {
    const space = this.#spaces.get(item.sort)
    if (space === undefined) this.#spaces.set(item.sort, [item])
    else space.push(item)
  }

  /** @throws QuiverError `invalid_argument/MODULE_INVALID` */
  take(sort: Sort, index: number): Item {
    return this.#spaces.get(sort)?.[index] ?? invalid(`there is no ${sort} ${index}`)
  }

  func(index: number): FunctionPlan {
    const item = this.take('func', index)
    return item.sort === 'func' ? item.func : invalid('no function')
  }

  type(index: number): TypeItem {
    const item = this.take('type', index)
    return item.sort === 'type' ? item.type : invalid('no type')
  }

  resource(index: number): ResourceType {
    const type = this.type(index)
    return type.kind === 'resource' ? type.resource : invalid(`type ${index} is no resource`)
  }

  functionType(index: number): FunctionType {
    const type = this.type(index)
    return type.kind === 'func' ? type.type : invalid(`type ${index} is no type of a function`)
  }

  core(sort: 'core func' | 'core memory', index: number): CoreItem {
    const item = this.take(sort, index)
    return 'item' in item ? item.item : invalid(`${sort} ${index} is none`)
  }

  instance(index: number): ReadonlyMap<string, Item> {
    const item = this.take('instance', index)
    return item.sort === 'instance' ? item.exports : invalid('no instance')
  }

  /** The frame so many components or types further out. */
  outer(depth: number): Frame {
    if (depth === 0) return this
    return (this.parent ?? invalid('an alias leads out of everything')).outer(depth - 1)
  }
}

export function invalid(problem: string): never {
  throw new QuiverError('invalid_argument', 'MODULE_INVALID', `not a valid component: ${problem}`, {
    hint: 'Build the file again and copy it as binary; "wasm-tools validate" tells more.',
  })
}
