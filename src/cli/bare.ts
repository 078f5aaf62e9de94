/** An image for a binary alone, `quiver run busybox -- sh`: no files, everything as a manifest would have it by default. */

import type { BinaryDetail } from '../client/resources.ts'
import { parseManifest } from '../config/manifest.ts'
import { resolveManifest } from '../config/resolve.ts'
import type { ImageConfig } from '../images/images.ts'

/** @param reference  what was asked for, such as `node@26` */
export function buildBareManifest(binary: BinaryDetail, reference: string): ImageConfig {
  const { name } = binary
  const manifest = parseManifest(`name = "${name}"\nruntime = "${reference}"\n`)
  return {
    schema: 1,
    kind: 'image',
    name,
    version: null,
    title: null,
    author: null,
    tags: [],
    binary: binary.digest,
    binaryReference: reference,
    spec: resolveManifest(manifest),
    configs: {},
    tree: [],
  }
}
