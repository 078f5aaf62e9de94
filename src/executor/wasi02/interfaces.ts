/** Everything that components may import, by interface, and which functions wait. */

import { Failure } from '../component/function-codec.ts'
import { refuse } from '../component/handles.ts'
import type { HostCall, HostFunction } from '../component/host.ts'

import { FILESYSTEM_TYPES, PREOPENS } from './filesystem.ts'
import { HTTP_TYPES, OUTGOING_HANDLER } from './http.ts'
import { ERROR, POLL, STREAMS } from './io.ts'
import type { InterfaceName } from './names.ts'
import * as system from './system.ts'
import type { World } from './world.ts'

type Interface = Readonly<Record<string, HostCall<World>>>

const NOTHING: Interface = {}
const DENIED = new Failure('access-denied')

/** The network of sockets: everything that would make one is denied, so nothing else can be reached. */
const INSTANCE_NETWORK: Interface = { 'instance-network': () => ({ name: 'no network' }) }
const CREATE_SOCKET = (): never => {
  throw DENIED
}

const BY_NAME: Readonly<Record<InterfaceName, Interface>> = {
  'wasi:cli/environment': system.ENVIRONMENT,
  'wasi:cli/exit': system.EXIT,
  'wasi:cli/stderr': system.STDERR,
  'wasi:cli/stdin': system.STDIN,
  'wasi:cli/stdout': system.STDOUT,
  'wasi:cli/terminal-input': NOTHING,
  'wasi:cli/terminal-output': NOTHING,
  'wasi:cli/terminal-stderr': system.TERMINAL_STDERR,
  'wasi:cli/terminal-stdin': system.TERMINAL_STDIN,
  'wasi:cli/terminal-stdout': system.TERMINAL_STDOUT,
  'wasi:clocks/monotonic-clock': system.MONOTONIC_CLOCK,
  'wasi:clocks/wall-clock': system.WALL_CLOCK,
  'wasi:config/runtime': system.CONFIG,
  'wasi:config/store': system.CONFIG,
  'wasi:filesystem/preopens': PREOPENS,
  'wasi:filesystem/types': FILESYSTEM_TYPES,
  'wasi:http/outgoing-handler': OUTGOING_HANDLER,
  'wasi:http/types': HTTP_TYPES,
  'wasi:io/error': ERROR,
  'wasi:io/poll': POLL,
  'wasi:io/streams': STREAMS,
  'wasi:logging/logging': system.LOGGING,
  'wasi:random/insecure': system.INSECURE,
  'wasi:random/insecure-seed': system.INSECURE_SEED,
  'wasi:random/random': system.RANDOM,
  'wasi:sockets/instance-network': INSTANCE_NETWORK,
  'wasi:sockets/ip-name-lookup': { 'resolve-addresses': CREATE_SOCKET },
  'wasi:sockets/network': NOTHING,
  'wasi:sockets/tcp': NOTHING,
  'wasi:sockets/tcp-create-socket': { 'create-tcp-socket': CREATE_SOCKET },
  'wasi:sockets/udp': NOTHING,
  'wasi:sockets/udp-create-socket': { 'create-udp-socket': CREATE_SOCKET },
}

const INTERFACES: ReadonlyMap<string, Interface> = new Map(Object.entries(BY_NAME))

const WAITING: ReadonlySet<string> = new Set([
  'wasi:io/poll poll',
  'wasi:io/poll [method]pollable.block',
  'wasi:io/streams [method]input-stream.read',
  'wasi:io/streams [method]input-stream.skip',
  'wasi:io/streams [method]input-stream.blocking-read',
  'wasi:io/streams [method]input-stream.blocking-skip',
  'wasi:io/streams [method]output-stream.splice',
  'wasi:io/streams [method]output-stream.blocking-flush',
  'wasi:io/streams [method]output-stream.blocking-splice',
  'wasi:io/streams [method]output-stream.blocking-write-and-flush',
  'wasi:io/streams [method]output-stream.blocking-write-zeroes-and-flush',
  'wasi:filesystem/types [method]descriptor.sync',
  'wasi:filesystem/types [method]descriptor.sync-data',
])

/** As `FindHostFunction`. @param interfaceName  without version */
export function findHostFunction(
  interfaceName: string,
  name: string,
): HostFunction<World> | undefined {
  const functions = INTERFACES.get(interfaceName)
  if (functions === undefined) return undefined
  const call = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (call !== undefined) return { call, mayWait: WAITING.has(`${interfaceName} ${name}`) }
  // Methods of what nobody can have.
  const isUnreachable = interfaceName.startsWith('wasi:sockets/') && name.startsWith('[method]')
  return isUnreachable ? { call: () => refuse('it has a socket'), mayWait: false } : undefined
}
