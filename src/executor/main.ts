/**
 * The entry of an executor. `pool`: modules come and go, as control says. `serve`: one module answers HTTP. `run`: one
 * command runs once, with the stdio of this process. The mode is the first argument, what it needs the second, as JSON.
 */

import { readSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

import { QuiverError } from '../core/error.ts'

import type { ModulePlan, ScriptSource, SharedFolder } from './protocol.ts'

interface ScriptPlace {
  /** Absolute; null: it comes as input, before what it reads itself. */
  readonly path: string | null
  readonly name: string
}

interface SingleModule {
  readonly module: ModulePlan
  /** 0: none. */
  readonly port: number
  /** Absolute. */
  readonly path: string
  /** What a JavaScript engine is to run; null: the module is a program itself. */
  readonly script: ScriptPlace | null
  readonly folders: readonly SharedFolder[]
}

/** Prefix of the guest's variables in the environment of this process. */
const GUEST = 'GUEST_'
/** Of a script that comes as input: how its length is written, and how it is called in messages. */
const LENGTH_DIGITS = 8
const INPUT_NAME = 'snippet.js'

async function main(mode: string, argument: string): Promise<void> {
  if (mode === 'pool') {
    const { Pool } = await import('./serve/pool.ts')
    const { port }: { readonly port: number } = JSON.parse(argument)
    new Pool().listen(port)
    return
  }
  const single: SingleModule = JSON.parse(argument)
  const script = single.script === null ? null : await readScript(single.script)
  const plan = { ...single.module, env: takeGuestEnv(), script }
  const bytes = Uint8Array.from(await readFile(single.path))
  if (mode === 'serve') {
    const { serveOne } = await import('./serve/one.ts')
    await serveOne(bytes, plan, single.port)
    return
  }
  if (script !== null) {
    const { runScript } = await import('./run/script-once.ts')
    process.exitCode = await runScript(bytes, plan)
    return
  }
  const { runOnce } = await import('./run/once.ts')
  process.exitCode = await runOnce(bytes, plan, single.folders)
}

async function readScript({ path, name }: ScriptPlace): Promise<ScriptSource> {
  if (path !== null) return { name, text: await readFile(path, 'utf8') }
  return {
    name: INPUT_NAME,
    text: takeFromInput(Number.parseInt(takeFromInput(LENGTH_DIGITS), 16)),
  }
}

/** No more than that: the rest is the script's own. */
function takeFromInput(length: number): string {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length;) {
    const count = readSync(0, bytes, at, length - at, null)
    if (count === 0) throw new Error('the input ends before the script does')
    at += count
  }
  return bytes.toString('utf8')
}

function takeGuestEnv(): Readonly<Record<string, string>> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) {
    delete process.env[name]
    if (name.startsWith(GUEST) && value !== undefined) env[name.slice(GUEST.length)] = value
  }
  return env
}

try {
  await main(process.argv[2] ?? '', process.argv[3] ?? '')
} catch (thrown) {
  const { message, reason, hint } = QuiverError.from(thrown)
  process.stderr.write(
    `quiver: ${message} (${reason})\n${hint === undefined ? '' : `hint: ${hint}\n`}`,
  )
  process.exit(126)
}
