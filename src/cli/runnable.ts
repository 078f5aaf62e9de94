/** What `quiver run` was given, as an image on the node: a folder with a manifest, a file of its own, a script, or the name of a binary. */

import { stat } from 'node:fs/promises'
import path from 'node:path'

import type { Client } from '../client/client.ts'
import type { RunRequest } from '../client/resources.ts'
import { isScriptFile, isWasmFile } from '../config/rules.ts'
import type { Digest } from '../core/digest.ts'
import { QuiverError } from '../core/error.ts'
import { elfBinary } from '../images/elf-binary.ts'
import type { ImageConfig } from '../images/images.ts'
import { wasmBinary } from '../images/wasm-binary.ts'

import { buildBareImage, taskName } from './bare.ts'
import type { CliContext, Input } from './context.ts'
import { putBuiltBinary, putFiles, sendImage } from './image.ts'
import { buildScript, collectScript, isScriptRuntime, SCRIPT_RUNTIME } from './script.ts'

export interface Runnable {
  readonly image: RunRequest['image']
  /** Of the program. */
  readonly args: readonly string[]
  /** Of the manifest; undefined when there is none. */
  readonly folder: string | undefined
  readonly defaultConfig: string | undefined
  /** The input has been read already: it was the program. */
  readonly isInputTaken: boolean
}

const STDIN = '-'
const SCRIPT_BYTES_MAX = 4 * 1024 * 1024

/** @throws QuiverError that says what is wrong with the target */
export async function sendRunnable(
  context: CliContext,
  client: Client,
  target: string,
  args: readonly string[],
): Promise<Runnable> {
  const found = await kindOf(context, target)
  if (found === 'folder') {
    const { image, folder, manifest } = await sendImage(context, client, target)
    const defaultConfig = manifest.default_config
    return { image: image.digest, args, folder, defaultConfig, isInputTaken: false }
  }
  if (found === 'file') return bare(await sendFile(context, client, target), args)
  if (isScriptRuntime(target)) return await sendScript(context, client, args)
  const binary = await client.call('resolveBinary', { body: { reference: target } }, context.signal)
  const config = buildBareImage(binary.name, { runtime: target }, binary.digest)
  return bare(await putImage(context, client, config), args)
}

/** `quiver run js FILE ARGS`, or `-` for a script that comes as input. */
async function sendScript(
  context: CliContext,
  client: Client,
  [file = '', ...args]: readonly string[],
): Promise<Runnable> {
  if (file === '') throw noScript()
  if (file !== STDIN) return bare(await sendFile(context, client, file), args)
  const source = await readInput(context.stdin)
  const image = await putScript(context, client, 'stdin.js', buildScript('stdin.js', source))
  return { ...bare(image, args), isInputTaken: true }
}

async function sendFile(context: CliContext, client: Client, target: string): Promise<Digest> {
  const file = path.resolve(context.folder, target)
  const name = path.basename(file)
  if (isScriptFile(name)) {
    const script = await collectScript(path.dirname(file), name)
    return await putScript(context, client, name, script)
  }
  const built = await (isWasmFile(name) ? wasmBinary : elfBinary)(file, taskName(name))
  const { digest } = await putBuiltBinary(context, client, built)
  return await putImage(context, client, buildBareImage(name, { file: name }, digest))
}

async function putScript(
  context: CliContext,
  client: Client,
  name: string,
  { tree, sources }: ReturnType<typeof buildScript>,
): Promise<Digest> {
  const body = { reference: SCRIPT_RUNTIME }
  const [binary] = await Promise.all([
    client.call('resolveBinary', { body }, context.signal),
    putFiles(context, client, sources),
  ])
  const config = buildBareImage(name, { file: name }, binary.digest, tree)
  return await putImage(context, client, config)
}

async function putImage(context: CliContext, client: Client, config: ImageConfig): Promise<Digest> {
  return (await client.call('putImage', { body: config }, context.signal)).digest
}

function bare(image: Digest, args: readonly string[]): Runnable {
  return { image, args, folder: undefined, defaultConfig: undefined, isInputTaken: false }
}

/** A path that exists, or looks like one; anything else is the name of a binary. */
async function kindOf(context: CliContext, target: string): Promise<'folder' | 'file' | 'name'> {
  const found = await stat(path.resolve(context.folder, target)).catch(() => undefined)
  const isProgram = found?.isFile() === true && !target.endsWith('.toml')
  const isPath = target.startsWith('.') || target.includes('/')
  if (isProgram && (isPath || isScriptFile(target) || isWasmFile(target))) return 'file'
  if (isPath && found === undefined) throw noTarget(target)
  if (isPath) return 'folder'
  const hasManifest = await stat(path.resolve(context.folder, target, 'quiver.toml')).then(
    () => true,
    () => false,
  )
  return hasManifest ? 'folder' : 'name'
}

async function readInput(stdin: Input): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > SCRIPT_BYTES_MAX) throw tooLarge()
    chunks.push(part)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function noTarget(target: string): QuiverError {
  return new QuiverError('not_found', 'HOST_FILE_MISSING', `there is no ${target}`, {
    hint: 'Name a folder with a quiver.toml, a program, or a binary of "quiver binary ls".',
  })
}

function noScript(): QuiverError {
  return new QuiverError('invalid_argument', 'SCRIPT_MISSING', 'there is no script to run', {
    hint: 'Name a file, "quiver run js FILE.js", or "-" for a script that comes as input.',
  })
}

function tooLarge(): QuiverError {
  const message = `the script is longer than ${SCRIPT_BYTES_MAX} bytes`
  return new QuiverError('invalid_argument', 'SCRIPT_TOO_LARGE', message, {
    hint: 'Keep its data outside of it.',
  })
}
