/** Judges a module before anything is deployed: what it is, what it needs, and whether all of that is there. */

import { QuiverError } from '../core/error.ts'

import { describeSignature, type ModuleFacts } from './facts.ts'
import { callableExports, checkImports, detectKind, readModule, type ModuleKind } from './module.ts'
import { OFFERED } from './offered.ts'
import type { Inspection } from './protocol.ts'

export interface JudgedModule {
  readonly facts: ModuleFacts
  readonly kind: ModuleKind
  readonly inspection: Inspection
}

/** @throws QuiverError that says what is wrong with the module, and where */
export function judgeModule(bytes: Uint8Array<ArrayBuffer>): JudgedModule {
  const facts = readModule(bytes)
  const kind = detectKind(facts)
  const links = checkImports(facts, OFFERED)
  if (facts.format === 'core' && !WebAssembly.validate(bytes)) throw explainInvalid(bytes)
  const { producers } = facts
  const inspection = {
    kind: kind.kind,
    entry: 'entry' in kind ? kind.entry : null,
    exports:
      facts.format === 'component'
        ? []
        : callableExports(facts).map(({ name, signature }) => ({
            name,
            signature: signature === null ? '' : describeSignature(signature),
          })),
    links: links.map(({ task, function: name }) => ({ task, function: name })),
    producers: [...producers.language, ...producers.processedBy],
    memoryBytes:
      facts.format === 'component'
        ? 0
        : facts.memories.reduce((sum, { initial }) => sum + initial * PAGE_BYTES, 0),
  }
  return { facts, kind, inspection }
}

const PAGE_BYTES = 65_536

function explainInvalid(bytes: Uint8Array<ArrayBuffer>): QuiverError {
  let why = 'it is not valid'
  try {
    void new WebAssembly.Module(bytes)
  } catch (thrown) {
    if (thrown instanceof Error) why = thrown.message
  }
  return new QuiverError('invalid_argument', 'MODULE_INVALID', `the module cannot run: ${why}`, {
    hint: 'Build it again, and check it with "wasm-validate".',
  })
}
