/** WASI preview 1: what the other parts of the executor may use of it. */

export type { OpenedFile, VirtualDirectory, VirtualFile } from './wasi/directory.ts'
export { openHostDirectory } from './wasi/host-directory.ts'
export { buildMemoryDirectory, createScratchDirectory } from './wasi/memory-directory.ts'
export type { Listener, SocketConnection } from './wasi/sockets.ts'
export type { ByteSink, ByteSource, Stream } from './wasi/streams.ts'
export {
  CALL_NAMES,
  type Preopen,
  WAITING_CALLS,
  Wasi,
  WasiExit,
  type WasiModuleName,
  type WasiOptions,
} from './wasi/wasi.ts'
