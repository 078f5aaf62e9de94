/** From types as a component's binary has them, with indices, to types as they are. */

import { unsupported } from './decode-types.ts'
import { type Frame, invalid, type Item, type TypeItem } from './frame.ts'
import type { Declaration, ExternSyntax, TypeRef, TypeSyntax, ValueSyntax } from './syntax.ts'
import type { ResourceType, ValueType } from './types.ts'

const DEPTH_MAX = 64
const NAME_LENGTH_MAX = 64

export class TypeResolver {
  /** Types may share parts; how deep each is, so that whoever walks them needs no limit of its own. */
  readonly #depths = new WeakMap<ValueType, number>()
  readonly #primitives = new Map<string, ValueType>()
  readonly #hostResources = new Map<string, ResourceType>()
  readonly #frameOf: (parent: Frame) => Frame

  /** @param frameOf  makes the frame of a type within `parent` */
  constructor(frameOf: (parent: Frame) => Frame) {
    this.#frameOf = frameOf
  }

  define(syntax: TypeSyntax, frame: Frame): TypeItem {
    switch (syntax.kind) {
      case 'value':
        return this.#defineValue(syntax.type, frame)
      case 'func': {
        const params = syntax.params.map(({ name, type }) => ({
          name,
          type: this.#ref(type, frame),
        }))
        return { kind: 'func', type: { params, result: this.#optional(syntax.result, frame) } }
      }
      case 'instance':
        return { kind: 'instance', declarations: syntax.declarations, frame }
      case 'component':
        return { kind: 'component' }
      case 'resource': {
        const { destructor } = syntax
        const item = destructor === null ? null : frame.core('core func', destructor)
        return { kind: 'resource', resource: { name: '', owner: frame.owner, destructor: item } }
      }
      default:
        return syntax satisfies never
    }
  }

  /** The same object for the same name, so that interfaces of several versions share their resources. */
  hostResource(name: string): ResourceType {
    const found = this.#hostResources.get(name)
    if (found !== undefined) return found
    const resource: ResourceType = { name, owner: null, destructor: null }
    this.#hostResources.set(name, resource)
    return resource
  }

  /** What an imported instance of that type exports, if the host makes it. */
  imagine(
    interfaceName: string,
    declarations: readonly Declaration[],
    parent: Frame,
  ): ReadonlyMap<string, Item> {
    const frame = this.#frameOf(parent)
    const exports = new Map<string, Item>()
    for (const declaration of declarations) {
      switch (declaration.kind) {
        case 'type':
          frame.push({ sort: 'type', type: this.define(declaration.type, frame) })
          break
        case 'alias':
          frame.push(this.#aliased(declaration, frame))
          break
        case 'export': {
          const { name, extern } = declaration
          const item = this.#declared(interfaceName, name, extern, frame)
          frame.push(item)
          exports.set(name, item)
          break
        }
        default:
          declaration satisfies never
      }
    }
    return exports
  }

  /** An import that the host answers, by its declaration. */
  imagineImport(name: string, extern: ExternSyntax, frame: Frame): Item {
    const plain = withoutVersion(name)
    if (extern.kind !== 'instance') return this.#declared('', plain, extern, frame)
    const type = frame.type(extern.type)
    if (type.kind !== 'instance') return invalid(`the import "${name}" is of no instance type`)
    return { sort: 'instance', exports: this.imagine(plain, type.declarations, type.frame) }
  }

  #declared(interfaceName: string, name: string, extern: ExternSyntax, frame: Frame): Item {
    if (extern.kind === 'func') {
      const host = { interface: interfaceName, name, type: frame.functionType(extern.type) }
      return { sort: 'func', func: { from: 'host', host } }
    }
    if (extern.kind !== 'type') {
      throw unsupported(
        `"${name.slice(0, NAME_LENGTH_MAX)}", a ${extern.kind} that nobody gives it`,
      )
    }
    if (extern.equals !== null) return { sort: 'type', type: frame.type(extern.equals) }
    const resource = this.hostResource(`${interfaceName}/${name}`)
    return { sort: 'type', type: { kind: 'resource', resource } }
  }

  #aliased(declaration: Extract<Declaration, { kind: 'alias' }>, frame: Frame): Item {
    if (declaration.from === 'outer') {
      return frame.outer(declaration.depth).take(declaration.sort, declaration.index)
    }
    if (declaration.from === 'core instance') return invalid('a type names a core instance')
    const found = frame.instance(declaration.index).get(declaration.name)
    return found ?? invalid(`no instance exports "${declaration.name.slice(0, 64)}"`)
  }

  #defineValue(syntax: ValueSyntax, frame: Frame): TypeItem {
    if (syntax.kind === 'alias' && typeof syntax.type === 'number') return frame.type(syntax.type)
    const type = this.#value(syntax, frame)
    const depth = 1 + Math.max(0, ...partsOf(type).map((part) => this.#depths.get(part) ?? 1))
    if (depth > DEPTH_MAX) invalid('a type is nested too deep')
    this.#depths.set(type, depth)
    return { kind: 'value', type }
  }

  #value(syntax: ValueSyntax, frame: Frame): ValueType {
    const named = ({ name, type }: { name: string; type: TypeRef }) => ({
      name,
      type: this.#ref(type, frame),
    })
    switch (syntax.kind) {
      case 'alias':
        return this.#ref(syntax.type, frame)
      case 'record':
        return { kind: 'record', fields: syntax.fields.map(named) }
      case 'tuple':
        return { kind: 'tuple', types: syntax.types.map((type) => this.#ref(type, frame)) }
      case 'variant': {
        const cases = syntax.cases.map(({ name, type }) => ({
          name,
          type: this.#optional(type, frame),
        }))
        return { kind: 'variant', cases }
      }
      case 'enum':
      case 'flags':
        return { kind: syntax.kind, names: syntax.names }
      case 'option':
      case 'list':
        return { kind: syntax.kind, type: this.#ref(syntax.type, frame) }
      case 'result': {
        const error = this.#optional(syntax.error, frame)
        return { kind: 'result', ok: this.#optional(syntax.ok, frame), error }
      }
      case 'own':
      case 'borrow':
        return { kind: syntax.kind, resource: frame.resource(syntax.resource) }
      default:
        return syntax satisfies never
    }
  }

  #optional(ref: TypeRef | null, frame: Frame): ValueType | null {
    return ref === null ? null : this.#ref(ref, frame)
  }

  #ref(ref: TypeRef, frame: Frame): ValueType {
    if (typeof ref === 'number') {
      const type = frame.type(ref)
      return type.kind === 'value' ? type.type : invalid(`type ${ref} is no type of a value`)
    }
    const known = this.#primitives.get(ref)
    if (known !== undefined) return known
    const primitive: ValueType = { kind: 'primitive', primitive: ref }
    this.#primitives.set(ref, primitive)
    return primitive
  }
}

function partsOf(type: ValueType): readonly ValueType[] {
  switch (type.kind) {
    case 'record':
      return type.fields.map((field) => field.type)
    case 'tuple':
      return type.types
    case 'variant':
      return type.cases.flatMap((one) => one.type ?? [])
    case 'option':
    case 'list':
      return [type.type]
    case 'result':
      return [type.ok, type.error].filter((one) => one !== null)
    case 'primitive':
    case 'enum':
    case 'flags':
    case 'own':
    case 'borrow':
      return []
    default:
      return type satisfies never
  }
}

/** `wasi:io/streams@0.2.3` → `wasi:io/streams`. */
export function withoutVersion(name: string): string {
  const at = name.indexOf('@')
  return at === -1 ? name : name.slice(0, at)
}
