/** Servers of others that answer each request from a fresh instance of the same module: workerd, Deno, Bun. */

import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'

import { freePort } from '../http.ts'
import { say } from '../measure.ts'
import { capture, isThere, startServer } from '../processes.ts'

export interface RunningPeer extends AsyncDisposable {
  readonly port: number
}

export interface PeerProgram {
  readonly name: string
  readonly version: string
  /** Of the packages that carry the program, for this machine. */
  readonly packageName: string
  /** In the package. */
  readonly program: string
  readonly files: (port: number) => Readonly<Record<string, string>>
  readonly args: readonly string[]
}

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'x64'
const IMPORT_MODULE = `import { readFileSync } from 'node:fs'
const module = new WebAssembly.Module(readFileSync(new URL('hello.wasm', import.meta.url)))`

export const WORKERD: PeerProgram = {
  name: 'workerd',
  version: '1.20261117.1',
  packageName: `@cloudflare/workerd-linux-${ARCHITECTURE === 'x64' ? '64' : 'arm64'}`,
  program: 'bin/workerd',
  args: ['serve', 'config.capnp'],
  files: (port) => ({
    'config.capnp': `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [
    (name = "main", esModule = embed "server.js"),
    (name = "handler.js", esModule = embed "handler.js"),
    (name = "hello.wasm", wasm = embed "hello.wasm")
  ],
  compatibilityDate = "2025-01-01"
);
`,
    'server.js': `import { answer } from 'handler.js'
import module from 'hello.wasm'
export default { fetch: () => new Response(answer(module)) }
`,
  }),
}

export const DENO: PeerProgram = {
  name: 'deno',
  version: '2.9.6',
  packageName: `@deno/linux-${ARCHITECTURE}-glibc`,
  program: 'deno',
  args: ['run', '-A', '--no-prompt', 'server.js'],
  files: (port) => ({
    'server.js': `import { answer } from './handler.js'
${IMPORT_MODULE}
Deno.serve({ port: ${port}, hostname: '127.0.0.1' }, () => new Response(answer(module)))
`,
  }),
}

export const BUN: PeerProgram = {
  name: 'bun',
  version: '1.4.5',
  packageName: `@oven/bun-linux-${ARCHITECTURE === 'x64' ? 'x64' : 'aarch64'}`,
  program: 'bin/bun',
  args: ['server.js'],
  files: (port) => ({
    'server.js': `import { answer } from './handler.js'
${IMPORT_MODULE}
Bun.serve({ port: ${port}, hostname: '127.0.0.1', fetch: () => new Response(answer(module)) })
`,
  }),
}

/** Its program, installed once into a cache of this machine. */
export async function install({ packageName, version, program }: PeerProgram): Promise<string> {
  const folder = path.join(homedir(), '.cache', 'quiver-bench', `${packageName}@${version}`)
  const file = path.join(folder, 'node_modules', packageName, program)
  if (await isThere(file)) return file
  say(`installs ${packageName} ${version}, a peer of this suite`)
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(folder, 'package.json'), '{}')
  const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
  await capture('npm', 'install', ...flags, '--prefix', folder, `${packageName}@${version}`)
  return file
}

/** @param module  the compiled module, a file  @returns where it answers, on its own port */
export async function startPeer(
  peer: PeerProgram,
  module: string,
  parent: string,
): Promise<RunningPeer> {
  const program = await install(peer)
  const port = await freePort()
  const folder = await writePeer(peer, module, path.join(parent, peer.name), port)
  const server = await startServer(port, [program, ...peer.args], folder)
  return { port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** @returns the folder */
export async function writePeer(
  peer: PeerProgram,
  module: string,
  folder: string,
  port: number,
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  await copyFile(module, path.join(folder, 'hello.wasm'))
  await copyFile(path.join(import.meta.dirname, 'handler.js'), path.join(folder, 'handler.js'))
  for (const [name, text] of Object.entries(peer.files(port))) {
    await writeFile(path.join(folder, name), text)
  }
  return folder
}
