/** From a folder to an image on the node: reads the manifest, builds, collects, sends what is missing. */

import { homedir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'

import type { Client } from '../client/client.ts'
import type { ImageView, Timing } from '../client/resources.ts'
import { loadManifest } from '../config/manifest.ts'
import type { Manifest } from '../config/manifest.ts'
import { resolveConfigs, resolveManifest } from '../config/resolve.ts'
import { isScriptFile } from '../config/rules.ts'
import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { collect } from '../images/collect.ts'
import type { LeftOut } from '../images/collect.ts'
import { elfBinary } from '../images/elf-binary.ts'
import type { BinaryConfig, Sources } from '../images/images.ts'
import { putSources } from '../images/sources.ts'
import { wasmBinary } from '../images/wasm-binary.ts'

import type { CliContext } from './context.ts'
import { say } from './print.ts'
import { runLoudly } from './program.ts'
import { collectScript, SCRIPT_RUNTIME } from './script.ts'

export interface SentImage {
  readonly image: ImageView
  readonly manifest: Manifest
  /** Absolute. */
  readonly folder: string
  readonly leftOut: readonly LeftOut[]
  /** Files that the node did not have. */
  readonly filesSent: number
  readonly bytesSent: number
  readonly timings: readonly Timing[]
}

/** @throws QuiverError as `loadManifest`, `collect` and the node do; `failed_precondition/BUILD_FAILED` */
export async function sendImage(
  context: CliContext,
  client: Client,
  target: string,
): Promise<SentImage> {
  const watch = new Stopwatch()
  const { manifest, folder } = await loadManifest(path.resolve(context.folder, target))
  if (manifest.build !== undefined) {
    await runBuild(context, manifest.build.command, folder)
    watch.lap('build')
  }
  const [{ tree, sources, leftOut }, binary] = await Promise.all([
    collectFiles(context, manifest, folder),
    sendBinary(context, client, manifest, folder),
  ])
  watch.lap('collect')

  const sent = await putSources(remoteStore(context, client), sources)
  const config = {
    schema: 1,
    kind: 'image',
    name: manifest.name,
    version: manifest.version ?? null,
    title: manifest.title ?? null,
    author: manifest.author ?? null,
    tags: manifest.tags,
    binary,
    binaryReference: manifest.runtime ?? manifest.file ?? '',
    spec: resolveManifest(manifest),
    configs: resolveConfigs(manifest),
    tree,
  } as const
  const image = await client.call('putImage', { body: config }, context.signal)
  watch.lap('send')
  return {
    image,
    manifest,
    folder,
    leftOut,
    filesSent: sent.files,
    bytesSent: sent.bytes,
    timings: watch.timings,
  }
}

/** All files of the folder but what is a binary of its own; of a script, nothing else. */
async function collectFiles(context: CliContext, { file }: Manifest, folder: string) {
  if (file !== undefined && isScriptFile(file)) {
    return { ...(await collectScript(folder, file)), leftOut: [] }
  }
  const collected = await collect(folder, { cacheFolder: cacheFolder(context) })
  const own = file === undefined ? undefined : path.normalize(file)
  const tree = collected.tree.filter((entry) => entry.path !== own)
  const wanted = new Set(tree.map((entry) => (entry.kind === 'file' ? entry.digest : '')))
  const sources = new Map([...collected.sources].filter(([digest]) => wanted.has(digest)))
  return { tree, sources, leftOut: collected.leftOut }
}

/** Stores a binary that was described on this machine. */
export async function putBuiltBinary(
  context: CliContext,
  client: Client,
  { config, sources }: { readonly config: BinaryConfig; readonly sources: Sources },
) {
  await putSources(remoteStore(context, client), sources)
  return client.call('putBinary', { body: config }, context.signal)
}

export async function putFiles(
  context: CliContext,
  client: Client,
  sources: Sources,
): Promise<void> {
  await putSources(remoteStore(context, client), sources)
}

async function sendBinary(
  context: CliContext,
  client: Client,
  manifest: Manifest,
  folder: string,
): Promise<Digest> {
  if (manifest.file !== undefined && !isScriptFile(manifest.file)) {
    const file = path.join(folder, manifest.file)
    const describe = manifest.file.endsWith('.wasm') ? wasmBinary : elfBinary
    const built = await describe(file, manifest.name)
    return (await putBuiltBinary(context, client, built)).digest
  }
  const reference = manifest.runtime ?? SCRIPT_RUNTIME
  return (await client.call('resolveBinary', { body: { reference } }, context.signal)).digest
}

/** The part of an image store that sending needs, on the node. */
function remoteStore({ signal }: CliContext, client: Client): Parameters<typeof putSources>[0] {
  return {
    missing: (digests) => client.call('missing', { body: { digests } }, signal),
    putFile: async (content, digest) => {
      if (digest === undefined) throw new TypeError('a file is sent by its digest')
      let bytes = 0
      const stream = content instanceof Uint8Array ? Readable.from([content]) : content
      stream.on('data', (chunk: Uint8Array) => {
        bytes += chunk.length
      })
      await client.upload(digest, stream, signal)
      return { digest, bytes }
    },
  }
}

/** `[build] command`, in the folder; its output is progress, so all of it goes to stderr. */
async function runBuild(context: CliContext, command: string, folder: string): Promise<void> {
  say(context, `build: ${command}`)
  // The cache of compiled code is ours (bin/quiver); a build that measures or packs it would not want it.
  const env = { NODE_COMPILE_CACHE: undefined }
  const status = await runLoudly(context, 'sh', ['-c', command], { cwd: folder, env })
  if (status === 0) return
  const message = `the build command ended with ${status === null ? 'a signal' : `status ${status}`}`
  throw new QuiverError('failed_precondition', 'BUILD_FAILED', message, {
    hint: `Run it yourself in ${folder}: ${command}`,
  })
}

function cacheFolder({ process }: CliContext): string {
  const configured = process.env['XDG_CACHE_HOME'] ?? ''
  const base = path.isAbsolute(configured) ? configured : path.join(homedir(), '.cache')
  return path.join(base, 'quiver')
}

class Stopwatch {
  readonly timings: Timing[] = []
  #lastMs = performance.now()

  lap(name: string): void {
    const nowMs = performance.now()
    this.timings.push({ name, ms: nowMs - this.#lastMs })
    this.#lastMs = nowMs
  }
}
