/** What answers the requests of one module: made once for each thread, by the kind of the module. */

import type { PreparedComponent } from '../component/prepare.ts'
import type { ExportFact } from '../facts.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Link, MemorySize, ModuleKind } from '../module.ts'
import type { LogStream, ModulePlan } from '../protocol.ts'
import type { Preopen } from '../wasi.ts'

import type { Budget } from './budget.ts'
import type { PackedFiles } from './folders.ts'

export interface Runner {
  /**
   * Answers, in whatever way. Resolves when the guest is done.
   *
   * @throws whatever the guest failed with, or a limit; the caller answers then
   */
  answer(exchange: Exchange): void | Promise<void>
}

/** A module that threads serve; what is known of it goes from thread to thread as it is. */
export interface ServedModule {
  /** With its limits written into it. Of a component, the first of its core modules. */
  readonly module: WebAssembly.Module
  /** Null: the module is no component. */
  readonly component: PreparedComponent | null
  /** What the module imports as its memory; null: it makes its own. */
  readonly memory: MemorySize | null
  readonly kind: ModuleKind
  /** Functions alone. */
  readonly exports: readonly ExportFact[]
  /** Imports that other tasks answer. */
  readonly links: readonly Link[]
  /** How many memories each instance has. */
  readonly memories: number
  /** Of the image; null: they are mounted in this process's sandbox. */
  readonly files: PackedFiles | null
  readonly plan: ModulePlan
}

/** What all runners get. */
export interface Guest extends ServedModule {
  /** What guests see of the image. */
  readonly folders: readonly Preopen[]
  readonly log: Log
  /** What all instances of the module may have together; null: there is only one. */
  readonly budget: Budget | null
}

/** Takes over `bytes`. */
export type Log = (stream: LogStream, bytes: Uint8Array) => void
