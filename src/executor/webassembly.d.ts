/**
 * The part of the WebAssembly JavaScript interface that is used here: TypeScript knows it only for browsers (`lib.dom`).
 *
 * Written as there, with `interface` and `var`, so that declarations merge. JSPI: github.com/WebAssembly/js-promise-integration.
 */

declare namespace WebAssembly {
  type ImportExportKind = 'function' | 'global' | 'memory' | 'table' | 'tag'
  type ExportValue = Function | Global | Memory | Table
  type ImportValue = ExportValue | Suspending | number | bigint
  type Exports = Readonly<Record<string, ExportValue>>
  type ModuleImports = Record<string, ImportValue>
  type Imports = Record<string, ModuleImports>

  interface ModuleImportDescriptor {
    readonly module: string
    readonly name: string
    readonly kind: ImportExportKind
  }
  interface ModuleExportDescriptor {
    readonly name: string
    readonly kind: ImportExportKind
  }

  interface Module {
    readonly [Symbol.toStringTag]: 'WebAssembly.Module'
  }
  var Module: {
    readonly prototype: Module
    new (bytes: NodeJS.BufferSource): Module
    customSections(module: Module, name: string): readonly ArrayBuffer[]
    exports(module: Module): readonly ModuleExportDescriptor[]
    imports(module: Module): readonly ModuleImportDescriptor[]
  }

  interface Instance {
    readonly exports: Exports
  }
  var Instance: {
    readonly prototype: Instance
    new (module: Module, imports?: Imports): Instance
  }

  interface Memory {
    readonly buffer: ArrayBuffer
    /** Returns the size before, in pages. */
    grow(pages: number): number
  }
  var Memory: {
    readonly prototype: Memory
    new (descriptor: { readonly initial: number; readonly maximum?: number }): Memory
  }

  interface Table {
    readonly length: number
    get(index: number): unknown
    grow(count: number, value?: unknown): number
    set(index: number, value?: unknown): void
  }
  var Table: {
    readonly prototype: Table
    new (descriptor: {
      readonly element: 'anyfunc' | 'externref'
      readonly initial: number
      readonly maximum?: number
    }): Table
  }

  interface Global {
    value: unknown
    valueOf(): unknown
  }
  var Global: {
    readonly prototype: Global
    new (
      descriptor: { readonly value: string; readonly mutable?: boolean },
      value?: unknown,
    ): Global
  }

  /** An import that may return a promise; the guest's stack is set aside until it settles. */
  interface Suspending {
    readonly [Symbol.toStringTag]: 'WebAssembly.Suspending'
  }
  var Suspending: {
    readonly prototype: Suspending
    new (implementation: (...args: never[]) => unknown): Suspending
  }
  /** An export through which suspending imports can be reached. */
  function promising(exported: Function): (...args: readonly unknown[]) => Promise<unknown>

  interface CompileError extends Error {}
  var CompileError: ErrorConstructor
  interface LinkError extends Error {}
  var LinkError: ErrorConstructor
  interface RuntimeError extends Error {}
  var RuntimeError: ErrorConstructor

  interface InstantiatedSource {
    readonly module: Module
    readonly instance: Instance
  }
  function validate(bytes: NodeJS.BufferSource): boolean
  function compile(bytes: NodeJS.BufferSource): Promise<Module>
  function instantiate(module: Module, imports?: Imports): Promise<Instance>
  function instantiate(bytes: NodeJS.BufferSource, imports?: Imports): Promise<InstantiatedSource>
}
