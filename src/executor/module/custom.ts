/**
 * Custom sections: only what people like to see, which is the module's name and what built it.
 *
 * The specification lets a malformed custom section mean nothing, so nothing here makes a module invalid but the section's own name.
 */

import { QuiverError } from '../../core/error.ts'
import type { Producers } from '../facts.ts'

import type { ByteReader } from './byte-reader.ts'

const SECTIONS_MAX = 10_000
const FIELDS_MAX = 16
const VALUES_MAX = 64

export class CustomSections {
  readonly names: string[] = []
  bytes = 0
  name: string | null = null
  readonly #fields = new Map<string, readonly string[]>()

  get producers(): Producers {
    return {
      language: this.#fields.get('language') ?? [],
      processedBy: this.#fields.get('processed-by') ?? [],
      sdk: this.#fields.get('sdk') ?? [],
    }
  }

  /** Reads a section that ends at the reader's end, and leaves the reader there. */
  read(reader: ByteReader, sizeBytes: number): void {
    if (this.names.length === SECTIONS_MAX) {
      reader.refuse(`has more than ${SECTIONS_MAX} custom sections`)
    }
    const name = reader.name('the name of a custom section')
    this.names.push(name)
    this.bytes += sizeBytes
    try {
      if (name === 'name' || name === 'component-name') this.#readModuleName(reader)
      if (name === 'producers') this.#readProducers(reader)
    } catch (thrown) {
      if (!(thrown instanceof QuiverError)) throw thrown
    }
    reader.offset = reader.end
  }

  /** Subsection 0 of `name` or `component-name`, which comes first where it is. */
  #readModuleName(reader: ByteReader): void {
    if (reader.isAtEnd || reader.u8('a subsection') !== 0) return
    reader.u32('the size of a subsection')
    this.name ??= reader.name('the name of the module')
  }

  #readProducers(reader: ByteReader): void {
    const fields = reader.count('producer fields', FIELDS_MAX)
    for (let field = 0; field < fields; field++) {
      const key = reader.name('a producer field')
      const count = reader.count('producers', VALUES_MAX, 2)
      const values: string[] = []
      for (let index = 0; index < count; index++) {
        const product = reader.name('a producer')
        values.push(`${product} ${reader.name('a version')}`.trimEnd())
      }
      this.#fields.set(key, values)
    }
  }
}
