/**
 * From the syntax of a component to its plan: components inside it are instantiated on paper, aliases followed, types
 * resolved. What is left for each request is to make core instances, in order.
 *
 * Wasmtime does the same in crates/environ/src/component/translate/inline.rs.
 */

import type { CoreFacts } from '../facts.ts'
import { readModule } from '../module/read.ts'

import { unsupported } from './decode-types.ts'
import { decodeComponent } from './decode.ts'
import { Frame, invalid, type Item } from './frame.ts'
import type {
  CanonOptionsPlan,
  CanonPlan,
  ComponentPlan,
  HostFunctionPlan,
  InstantiateStep,
  LiftPlan,
  ModuleRange,
} from './plan.ts'
import { TypeResolver } from './resolve-types.ts'
import type {
  AliasSyntax,
  CanonOptions,
  CanonSyntax,
  ComponentSyntax,
  Definition,
  NamedIndex,
} from './syntax.ts'
import type { CoreItem } from './types.ts'

/** Components that instantiate each other again and again would grow without end. */
const DEFINITIONS_MAX = 200_000
const INSTANCES_MAX = 1000

/** @throws QuiverError `invalid_argument/MODULE_INVALID`, `unimplemented/COMPONENT_UNSUPPORTED` and as `readModule` */
export function planComponent(bytes: Uint8Array): ComponentPlan {
  return new Linker(bytes).link(decodeComponent(bytes))
}

interface LinkedModule {
  readonly range: ModuleRange
  readonly facts: CoreFacts
}

class Linker {
  readonly #bytes: Uint8Array
  readonly #types = new TypeResolver((parent) => new Frame(parent, parent.owner))
  readonly #modules: LinkedModule[] = []
  readonly #moduleAt = new Map<number, number>()
  readonly #steps: InstantiateStep[] = []
  readonly #canons: CanonPlan[] = []
  readonly #imports = new Set<HostFunctionPlan>()
  #owners = 0
  #memories = 0
  #definitionsLeft = DEFINITIONS_MAX

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  link(component: ComponentSyntax): ComponentPlan {
    const exported = this.#instantiate(component, null, null)
    const exports: Record<string, LiftPlan> = {}
    for (const [name, item] of exported) {
      if (item.sort === 'func' && item.func.from === 'guest') exports[name] = item.func.lift
      if (item.sort !== 'instance') continue
      for (const [inner, one] of item.exports) {
        if (one.sort === 'func' && one.func.from === 'guest') {
          exports[`${name}#${inner}`] = one.func.lift
        }
      }
    }
    return {
      modules: this.#modules.map(({ range }) => range),
      steps: this.#steps,
      canons: this.#canons,
      imports: [...this.#imports],
      exports,
      memories: this.#memories,
    }
  }

  /** @param args  null: the outermost component, whose imports the host answers */
  #instantiate(
    component: ComponentSyntax,
    parent: Frame | null,
    args: ReadonlyMap<string, Item> | null,
  ): ReadonlyMap<string, Item> {
    const frame = new Frame(parent, this.#owners++)
    const exports = new Map<string, Item>()
    if (this.#owners > INSTANCES_MAX) throw unsupported(`more than ${INSTANCES_MAX} instances`)
    for (const definition of component.definitions) {
      if (this.#definitionsLeft-- === 0) throw unsupported('more definitions than are allowed')
      const item = this.#define(definition, frame, args)
      if (item !== null) frame.push(item)
      if (definition.kind === 'export' && item !== null) exports.set(definition.name, item)
    }
    return exports
  }

  #define(
    definition: Definition,
    frame: Frame,
    args: ReadonlyMap<string, Item> | null,
  ): Item | null {
    switch (definition.kind) {
      case 'core module':
        return { sort: 'core module', module: this.#module(definition) }
      case 'core instance':
        return this.#coreInstance(definition, frame)
      case 'core exports':
      case 'exports': {
        const items = collect(definition.exports, frame)
        if (definition.kind === 'exports') return { sort: 'instance', exports: items }
        return { sort: 'core instance', of: items }
      }
      case 'component':
        return { sort: 'component', component: definition.component, frame }
      case 'instance': {
        const item = frame.take('component', definition.component)
        if (item.sort !== 'component') return invalid('no component')
        const given = collect(definition.args, frame)
        const exports = this.#instantiate(item.component, item.frame, given)
        return { sort: 'instance', exports }
      }
      case 'alias':
        return this.#alias(definition, frame)
      case 'type':
        return { sort: 'type', type: this.#types.define(definition.type, frame) }
      case 'canon':
        return this.#canon(definition.canon, frame)
      case 'import': {
        if (args === null) {
          return this.#types.imagineImport(definition.name, definition.extern, frame)
        }
        const given = args.get(definition.name)
        if (given?.sort === definition.extern.kind) return given
        return invalid(`nobody gives "${definition.name.slice(0, 64)}" to a component`)
      }
      case 'export':
        return frame.take(definition.of.sort, definition.of.index)
      default:
        return definition satisfies never
    }
  }

  #module({ start, end }: ModuleRange): number {
    // A component that is instantiated twice has its modules once.
    const known = this.#moduleAt.get(start)
    if (known !== undefined) return known
    const facts = readModule(this.#bytes.subarray(start, end))
    if (facts.format !== 'core') return invalid('a core module is a component')
    const index = this.#modules.push({ range: { start, end }, facts }) - 1
    this.#moduleAt.set(start, index)
    return index
  }

  #coreInstance(
    { module, args }: Extract<Definition, { kind: 'core instance' }>,
    frame: Frame,
  ): Item {
    const item = frame.take('core module', module)
    const linked = item.sort === 'core module' ? this.#modules[item.module] : undefined
    if (item.sort !== 'core module' || linked === undefined) return invalid('no core module')
    const given = new Map(args.map(({ name, instance }) => [name, instance]))
    const imports = linked.facts.imports.map(({ module: from, name }) => {
      const instance = given.get(from) ?? invalid(`nobody gives "${from.slice(0, 64)}" to a module`)
      return { module: from, name, item: this.#coreExport(instance, name, frame) }
    })
    if (this.#steps.length === INSTANCES_MAX) {
      throw unsupported(`more than ${INSTANCES_MAX} core instances`)
    }
    this.#memories += linked.facts.memories.filter(({ isImported }) => !isImported).length
    const of = this.#steps.push({ module: item.module, imports }) - 1
    return { sort: 'core instance', of }
  }

  #coreExport(instance: number, name: string, frame: Frame): CoreItem {
    const item = frame.take('core instance', instance)
    if (item.sort !== 'core instance') return invalid('no core instance')
    if (typeof item.of === 'number') return this.#exportOf(item.of, name)
    const found = item.of.get(name)
    if (found !== undefined && 'item' in found) return found.item
    return invalid(`no core instance exports "${name.slice(0, 64)}"`)
  }

  #exportOf(instance: number, name: string): CoreItem {
    const linked = this.#modules[this.#steps[instance]?.module ?? -1]
    if (linked?.facts.exports.some((one) => one.name === name) !== true) {
      return invalid(`no core module exports "${name.slice(0, 64)}"`)
    }
    return { from: 'instance', instance, name }
  }

  #alias(alias: AliasSyntax, frame: Frame): Item {
    if (alias.from === 'outer') return frame.outer(alias.depth).take(alias.sort, alias.index)
    if (alias.from === 'instance') {
      const found = frame.instance(alias.index).get(alias.name)
      if (found?.sort === alias.sort) return found
      return invalid(`no instance exports the ${alias.sort} "${alias.name.slice(0, 64)}"`)
    }
    const { sort } = alias
    const isOfCore =
      sort === 'core func' ||
      sort === 'core table' ||
      sort === 'core memory' ||
      sort === 'core global'
    if (!isOfCore) return invalid(`a core instance exports no ${sort}`)
    return { sort, item: this.#coreExport(alias.index, alias.name, frame) }
  }

  #canon(canon: CanonSyntax, frame: Frame): Item {
    const { owner } = frame
    if (canon.op === 'lift') {
      const core = frame.core('core func', canon.func)
      const options = resolveOptions(canon.options, frame)
      const lift = { core, type: frame.functionType(canon.type), options, owner }
      return { sort: 'func', func: { from: 'guest', lift } }
    }
    const plan = this.#canonPlan(canon, frame, owner)
    const index = this.#canons.push(plan) - 1
    return { sort: 'core func', item: { from: 'canon', index } }
  }

  #canonPlan(canon: Exclude<CanonSyntax, { op: 'lift' }>, frame: Frame, owner: number): CanonPlan {
    if (canon.op !== 'lower') return { op: canon.op, resource: frame.resource(canon.type), owner }
    const func = frame.func(canon.func)
    if (func.from === 'host') this.#imports.add(func.host)
    return { op: 'lower', func, options: resolveOptions(canon.options, frame), owner }
  }
}

function collect(entries: readonly NamedIndex[], frame: Frame): ReadonlyMap<string, Item> {
  return new Map(entries.map(({ name, sort, index }) => [name, frame.take(sort, index)]))
}

function resolveOptions(options: CanonOptions, frame: Frame): CanonOptionsPlan {
  const { encoding, memory, realloc, postReturn } = options
  return {
    encoding,
    memory: memory === null ? null : frame.core('core memory', memory),
    realloc: realloc === null ? null : frame.core('core func', realloc),
    postReturn: postReturn === null ? null : frame.core('core func', postReturn),
  }
}
