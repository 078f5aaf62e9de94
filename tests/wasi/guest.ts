/** Compiles the C programs beside this file and runs them as guests. Not a test itself. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { Wasi, WasiExit, type WasiModuleName, type WasiOptions } from '../../src/executor/wasi.ts'

const run = promisify(execFile)

/** A compiler's folder of modules, removed at the end. */
export class Programs implements AsyncDisposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'quiver-wasi-'))

  readonly #compiled = new Map<string, Promise<WebAssembly.Module>>()

  /** @param name  of a file in this folder, without `.c`; compiled once */
  compile(name: string): Promise<WebAssembly.Module> {
    const compiled = this.#compiled.get(name) ?? this.#compile(name)
    this.#compiled.set(name, compiled)
    return compiled
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true })
  }

  async #compile(name: string): Promise<WebAssembly.Module> {
    const source = path.join(import.meta.dirname, `${name}.c`)
    const target = path.join(this.#folder, `${name}.wasm`)
    await run('clang', ['--target=wasm32-wasi', '-O1', '-Wall', '-Werror', '-o', target, source])
    return new WebAssembly.Module(readFileSync(target))
  }
}

export interface GuestResult {
  readonly status: number
  readonly signal: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end; its output is collected unless the options say where it goes. */
export async function runGuest(
  module: WebAssembly.Module,
  options: WasiOptions = {},
): Promise<GuestResult> {
  const stdout: Uint8Array[] = []
  const stderr: Uint8Array[] = []
  const wasi = new Wasi({
    stdout: { write: (bytes) => void stdout.push(bytes) },
    stderr: { write: (bytes) => void stderr.push(bytes) },
    ...options,
  })
  const end = await runToEnd(module, wasi)
  return { ...end, stdout: textOf(stdout), stderr: textOf(stderr) }
}

async function runToEnd(
  module: WebAssembly.Module,
  wasi: Wasi,
): Promise<{ readonly status: number; readonly signal: number | undefined }> {
  try {
    const { exports } = new WebAssembly.Instance(module, importsOf(module, wasi))
    const { memory, _start: start } = exports
    if (!(memory instanceof WebAssembly.Memory) || typeof start !== 'function') {
      throw new Error('not a command')
    }
    wasi.bind(memory)
    await WebAssembly.promising(start)()
    return { status: 0, signal: undefined }
  } catch (thrown) {
    if (!(thrown instanceof WasiExit)) throw thrown
    return { status: thrown.status, signal: thrown.signal }
  } finally {
    wasi.close()
  }
}

function importsOf(module: WebAssembly.Module, wasi: Wasi): WebAssembly.Imports {
  const modules: readonly WasiModuleName[] = ['wasi_snapshot_preview1', 'wasi_unstable']
  const all = WebAssembly.Module.imports(module)
  return Object.fromEntries(
    modules.map((name) => {
      const names = all.filter((each) => each.module === name).map((each) => each.name)
      return [name, wasi.imports(names, name)]
    }),
  )
}

function textOf(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString()
}
