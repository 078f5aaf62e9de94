/** From the bytes of a module to what threads serve: judged, limited, compiled. */

import { assert } from '../../core/assert.ts'
import { judgeModule, TABLE_ELEMENTS_MAX } from '../inspect.ts'
import { importMemory, keepExports, limitModule } from '../module.ts'
import type { ModulePlan } from '../protocol.ts'
import type { PackedFiles } from '../run/folders.ts'
import type { ServedModule } from '../run/runner.ts'
import { ENGINE_EXPORTS } from '../script/engine-exports.ts'

/** Up to 1 MiB, a memory is cleared faster than a new one is mapped. */
const CLEARED_PAGES_MAX = 16
/** Of a JavaScript engine, which gets its memory from an image. */
const ENGINE_PAGES_MAX = 64

/**
 * @param files  of the image; null: they are mounted
 * @throws QuiverError as `judgeModule` and `limitModule` do
 */
export async function prepareModule(
  bytes: Uint8Array<ArrayBuffer>,
  plan: ModulePlan,
  files: PackedFiles | null,
): Promise<ServedModule> {
  const { facts, kind, links } = judgeModule(bytes)
  const limits = { memoryBytesMax: plan.limits.memoryBytes, tableElementsMax: TABLE_ELEMENTS_MAX }
  if (kind.kind === 'component') {
    const { prepareComponent } = await import('../component/prepare.ts')
    const component = await prepareComponent(bytes, kind, limits)
    const { modules, memories } = component
    const [module] = modules
    assert(module !== undefined, 'a component without core modules was refused')
    return { module, component, memory: null, kind, exports: [], links, memories, files, plan }
  }
  assert(facts.format === 'core', 'all else is a component')
  // A copy of its own: what came belongs to a larger buffer.
  const limited = Uint8Array.from(limitModule(bytes, limits))
  const isEngine = kind.kind === 'engine'
  const { bytes: given, memory } = importMemory(
    isEngine ? keepExports(limited, ENGINE_EXPORTS) : limited,
    isEngine ? ENGINE_PAGES_MAX : CLEARED_PAGES_MAX,
  )
  const exports = facts.exports.filter((one) => one.kind === 'function')
  const memories = facts.memories.length
  const module = await WebAssembly.compile(given)
  return { module, component: null, memory, kind, exports, links, memories, files, plan }
}
