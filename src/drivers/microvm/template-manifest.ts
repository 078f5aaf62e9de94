/**
 * The list of what a template is, written last: a folder without it is not one. It finds files that were truncated, copied from
 * elsewhere or put there by somebody else. The memory, which is large, is told by its size, time and inode, and not read.
 */

import { createHash } from 'node:crypto'
import { open, readFile, stat, writeFile, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import * as z from 'zod'

import { canonicalJson } from '../../core/digest.ts'

import type { TemplateFacts } from './template-facts.ts'

export const MEMORY = 'memory'
export const STATE = 'state'
const MANIFEST = 'template.json'
/** Tens to hundreds of KiB are usual. */
const STATE_BYTES_MAX = 16 * 1024 * 1024

const ManifestSchema = z.strictObject({
  schema: z.literal(1),
  facts: z.strictObject({
    kind: z.enum(['boot', 'ready']),
    program: z.string(),
    hypervisor: z.string(),
    arguments: z.array(z.string()).readonly(),
    kernel: z.string(),
    initramfs: z.string(),
    processor: z.string(),
  }),
  state: z.strictObject({ bytes: z.int(), sha256: z.string() }),
  /** Big numbers as text. */
  memory: z.strictObject({ bytes: z.string(), mtimeNs: z.string(), ino: z.string() }),
})
type Manifest = z.output<typeof ManifestSchema>

/** @throws Error of the file system, or for a state that is too large to be one */
export async function writeManifest(folder: string, facts: TemplateFacts): Promise<void> {
  const manifest: Manifest = {
    schema: 1,
    facts,
    state: await describeState(folder),
    memory: await describeMemory(folder),
  }
  const file = path.join(folder, MANIFEST)
  await writeFile(file, canonicalJson(manifest), { mode: 0o444, flush: true })
}

/** What it says of itself; undefined when it cannot be read. */
export async function readFacts(folder: string): Promise<TemplateFacts | undefined> {
  try {
    const { facts } = await readManifest(folder)
    return facts
  } catch {
    return undefined
  }
}

/** Why the folder is not this template, one phrase; undefined when it is. */
export async function findDamage(
  folder: string,
  facts: TemplateFacts,
): Promise<string | undefined> {
  try {
    const manifest = await readManifest(folder)
    if (canonicalJson(manifest.facts) !== canonicalJson(facts)) return 'it is of another machine'
    const memory = await describeMemory(folder)
    if (canonicalJson(memory) !== canonicalJson(manifest.memory)) return 'its memory has changed'
    const state = await describeState(folder)
    return canonicalJson(state) === canonicalJson(manifest.state)
      ? undefined
      : 'its state has changed'
  } catch (thrown) {
    return thrown instanceof z.ZodError || thrown instanceof SyntaxError
      ? 'its list of files is damaged'
      : `it cannot be read: ${String(thrown)}`
  }
}

async function readManifest(folder: string): Promise<Manifest> {
  return ManifestSchema.parse(JSON.parse(await readFile(path.join(folder, MANIFEST), 'utf8')))
}

async function describeMemory(folder: string): Promise<Manifest['memory']> {
  const { size, mtimeNs, ino } = await stat(path.join(folder, MEMORY), { bigint: true })
  return { bytes: String(size), mtimeNs: String(mtimeNs), ino: String(ino) }
}

async function describeState(folder: string): Promise<Manifest['state']> {
  const file = await open(path.join(folder, STATE))
  try {
    const bytes = await readBounded(file)
    return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
  } finally {
    await file.close()
  }
}

async function readBounded(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat()
  if (size > STATE_BYTES_MAX) throw new Error(`the state has ${size} bytes`)
  return await file.readFile()
}
