/** Reading, judging and limiting WebAssembly binaries: what the other layers and the other parts of the executor may use of it. */

export type { Link } from './facts.ts'
export { checkImports, type Offered } from './module/imports.ts'
export { importMemory, MEMORY_IMPORT, type MemorySize } from './module/import-memory.ts'
export { keepExports } from './module/keep-exports.ts'
export { callableExports, detectKind, type ModuleKind, type World } from './module/kind.ts'
export { limitModule, type ModuleLimits } from './module/limit.ts'
export { readModule } from './module/read.ts'
