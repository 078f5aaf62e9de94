/**
 * Binaries, images and the files they are made of: one content-addressed store per node.
 *
 *     putFile* ─▶ putBinary ─▶ putImage ─▶ materialise ─▶ (instances mount the trees read-only)
 *
 * A binary or image *is* its configuration: canonical JSON that lists every file by digest; the digest of that
 * JSON is its identity. Names are pointers kept in the state store. Files are immutable, root-owned, 0444 or 0555.
 */

import type { Readable } from 'node:stream'

import type { Digest } from '../core/digest.ts'
import type { RuntimeReference } from '../core/name.ts'
import type { TaskSpec } from '../core/task.ts'

/** Paths are relative, `/`-separated, without `.` or `..`; sorted by byte order; no path is listed twice. */
export type TreeEntry =
  | {
      readonly kind: 'file'
      readonly path: string
      readonly digest: Digest
      readonly bytes: number
      readonly isExecutable: boolean
    }
  /** The target stays below the root of its tree, whatever the tree is mounted on. */
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  /** Only folders that would be empty otherwise. */
  | { readonly kind: 'folder'; readonly path: string }

export interface BinaryConfig {
  readonly schema: 1
  readonly kind: 'binary'
  readonly name: string
  readonly version: string
  /** As in OCI: `linux/amd64`. */
  readonly platform: string
  /** Absolute path of the program in the tree. */
  readonly entry: string
  /** Environment the program needs; an image may override it. */
  readonly env: Readonly<Record<string, string>>
  readonly tree: readonly TreeEntry[]
}

export interface ImageConfig {
  readonly schema: 1
  readonly kind: 'image'
  readonly name: string
  readonly version: string | null
  readonly title: string | null
  readonly author: string | null
  readonly tags: readonly string[]
  readonly binary: Digest
  /** What `runtime` or `file` said, for people. */
  readonly binaryReference: string
  /** How to run it unless the deployment says otherwise. */
  readonly spec: TaskSpec
  /** Named start configurations: what each changes of `spec`. */
  readonly configs: Readonly<Record<string, Partial<Pick<TaskSpec, 'args' | 'env' | 'argv0'>>>>
  readonly tree: readonly TreeEntry[]
}

export interface StoredBinary {
  readonly digest: Digest
  readonly config: BinaryConfig
  /** Sum over its files, each counted once. */
  readonly bytes: number
  readonly createdAtMs: number
}

export interface StoredImage {
  readonly digest: Digest
  readonly config: ImageConfig
  /** The configuration and the files of the image itself, without its binary. */
  readonly bytes: number
  readonly createdAtMs: number
}

export interface ImageStore extends AsyncDisposable {
  /** Those of `digests` that are not stored, in their order. */
  missing(digests: readonly Digest[]): Promise<readonly Digest[]>

  /**
   * Stores a file; resolves when it is fsynced. Storing what exists already is cheap and harmless. Calls that overlap
   * share their fsyncs: store many small files by many calls at once (`putSources` does).
   *
   * @throws QuiverError `invalid_argument/DIGEST_MISMATCH` when the bytes are not those of `expected`; nothing is kept
   * @throws QuiverError `resource_exhausted/DISK_FULL`
   */
  putFile(
    content: Readable | Uint8Array,
    expected?: Digest,
  ): Promise<{ digest: Digest; bytes: number }>

  /** @throws QuiverError `not_found/FILE_NOT_FOUND`, `data_loss/FILE_CORRUPT` */
  readFile(digest: Digest): Promise<Readable>

  /**
   * @throws QuiverError `failed_precondition/FILES_MISSING` naming the first missing file,
   *   `invalid_argument/PATH_ESCAPES`, `invalid_argument/TREE_INVALID`
   */
  putBinary(config: BinaryConfig): Promise<StoredBinary>
  putImage(config: ImageConfig): Promise<StoredImage>

  /**
   * The newest stored binary that `reference` fits. Where none is stored and a recipe exists whose host files are
   * present, it is imported first; with `isFresh` also where one is stored, to take what the machine has now.
   *
   * @throws QuiverError `not_found/BINARY_NOT_FOUND` with the nearest name and what would install it
   */
  resolveBinary(
    reference: RuntimeReference,
    options?: { readonly isFresh?: boolean },
  ): Promise<StoredBinary>

  /** @throws QuiverError `not_found/BINARY_NOT_FOUND`, `not_found/IMAGE_NOT_FOUND`, `data_loss/FILE_CORRUPT` */
  getBinary(digest: Digest): Promise<StoredBinary>
  getImage(digest: Digest): Promise<StoredImage>
  listBinaries(): Promise<readonly StoredBinary[]>
  listImages(): Promise<readonly StoredImage[]>

  /**
   * @param inUse  digests that revisions need; one of them is refused
   * @throws QuiverError `failed_precondition/IMAGE_IN_USE`, `failed_precondition/BINARY_IN_USE` naming who uses it
   */
  removeBinary(digest: Digest, inUse: ReadonlyMap<Digest, string>): Promise<void>
  removeImage(digest: Digest, inUse: ReadonlyMap<Digest, string>): Promise<void>

  /**
   * The folder that holds the tree, made on first use from hard links (copies where links end). Concurrent calls make
   * it once. A binary's tree is a root file system: it also has the folders and empty files that instances
   * mount on (`/app /dev /etc/{hosts,passwd,group,resolv.conf,hostname} /proc /run /tmp /var/tmp /.ainit`).
   */
  materialise(digest: Digest): Promise<{ readonly path: string; readonly isNew: boolean }>

  /**
   * Removes files and trees that no stored binary or image refers to. Files that were put or asked for within the last
   * minutes stay: they may belong to a binary or image that is about to be put. @returns what was freed
   */
  collectGarbage(): Promise<{ readonly files: number; readonly bytes: number }>

  /**
   * What somebody has deleted from the data folder under us, one phrase each. Folders only, and cheap: a tree is made again
   * when it is needed next, files come back with what they belong to, and `verify` looks at each of them.
   */
  findMissing(): Promise<readonly string[]>

  /**
   * Reads every file and compares it with its digest. A corrupt one is set aside: it then counts as missing, and putting
   * it again repairs the trees that hold it, also mounted ones.
   */
  verify(): Promise<readonly CorruptFile[]>
}

export interface CorruptFile {
  readonly digest: Digest
  /** The binaries and images that hold it. */
  readonly users: readonly Digest[]
}

/** Where the bytes of files are: the absolute path of a file of this machine, or the bytes themselves. */
export type Sources = ReadonlyMap<Digest, string | Uint8Array>
