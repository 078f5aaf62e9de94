/** From untrusted bytes to `ModuleFacts`: the header, and then the reader of its format. */

import { QuiverError } from '../../core/error.ts'
import type { ModuleFacts } from '../facts.ts'

import { ByteReader, MODULE_BYTES_MAX } from './byte-reader.ts'
import { scanComponent } from './component.ts'
import { type CoreScan, scanCore } from './core-module.ts'

const MAGIC = [0x00, 0x61, 0x73, 0x6d]
const LAYER = { CORE: 0, COMPONENT: 1 } as const
const CORE_VERSION = 1
const COMPONENT_VERSION = 13

/**
 * Reads what a module or component declares. Time and memory are linear in its size; code is not looked at.
 *
 * @throws QuiverError `invalid_argument/MODULE_INVALID` or `MODULE_TOO_LARGE`, which name the section and the byte, and
 *   `unimplemented/MODULE_VERSION_UNKNOWN`
 */
export function readModule(bytes: Uint8Array): ModuleFacts {
  const reader = new ByteReader(bytes)
  return readHeader(reader) === LAYER.CORE ? scanCore(reader).facts : scanComponent(reader)
}

/**
 * The same for core modules, with the places of their limits.
 *
 * @throws QuiverError as `readModule`, and `invalid_argument/MODULE_IS_COMPONENT`
 */
export function scanCoreModule(bytes: Uint8Array): CoreScan {
  const reader = new ByteReader(bytes)
  if (readHeader(reader) === LAYER.CORE) return scanCore(reader)
  throw new QuiverError(
    'invalid_argument',
    'MODULE_IS_COMPONENT',
    'a component has no memory of its own that could be limited',
    { hint: 'Limit the core modules that are taken out of it.' },
  )
}

function readHeader(reader: ByteReader): number {
  if (reader.bytes.length > MODULE_BYTES_MAX) {
    reader.refuse(`has ${reader.bytes.length} bytes, and ${MODULE_BYTES_MAX} are allowed`)
  }
  for (const byte of MAGIC) {
    const at = reader.offset
    if (reader.u8('the magic number') !== byte) {
      reader.fail('it does not begin with "\\0asm"; is it a WebAssembly binary?', at)
    }
  }
  const version = reader.u8('the version') | (reader.u8('the version') << 8)
  const layer = reader.u8('the layer') | (reader.u8('the layer') << 8)
  if (layer === LAYER.CORE && version === CORE_VERSION) return layer
  if (layer === LAYER.COMPONENT && version === COMPONENT_VERSION) return layer
  throw new QuiverError(
    'unimplemented',
    'MODULE_VERSION_UNKNOWN',
    `WebAssembly of layer ${layer}, version ${version} is not known here`,
    { hint: 'Build a core module (version 1) or a component (version 13, WASI 0.2).' },
  )
}
