/** How the proxy reaches an instance, by the kind of its endpoint. Only opening is here; pools are in `upstream/`. */

import { once } from 'node:events'
import { connect, type OnReadOpts, type Socket } from 'node:net'

import type { InstanceRoute } from '../core/link.ts'
import { StreamOpener as DescriptorOpener } from '../fds/streams.ts'

import type { InstanceStreams } from './fleet.ts'

export function openStreams(endpoint: InstanceRoute['endpoint']): InstanceStreams {
  return endpoint.kind === 'socket'
    ? new SocketStreams(endpoint.path)
    : new DescriptorStreams(endpoint.path, endpoint.port)
}

/** A unix socket that speaks for the instance, whatever the port. */
class SocketStreams implements InstanceStreams {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async open(_port: number, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket> {
    const socket = connect({ path: this.#path, ...(onread === undefined ? {} : { onread }) })
    try {
      await once(socket, 'connect', { signal })
      return socket
    } catch (thrown) {
      socket.destroy()
      throw thrown
    }
  }

  close(): void {}
}

/**
 * ainit hands over sockets that are connected inside: docs/internals/ainit.md, "Stream socket". It takes a few clients, so
 * the instances of one endpoint, which WebAssembly modules are, ask through one.
 */
class DescriptorStreams implements InstanceStreams {
  readonly #path: string
  readonly #port: number | undefined
  #shared: SharedOpener | undefined

  constructor(path: string, port: number | undefined) {
    this.#path = path
    this.#port = port
  }

  async open(port: number, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket> {
    if (this.#shared?.opener.isOpen !== true) {
      this.close()
      this.#shared = share(this.#path)
    }
    return this.#shared.opener.open(this.#port ?? port, signal, onread)
  }

  close(): void {
    const shared = this.#shared
    this.#shared = undefined
    if (shared === undefined || --shared.users > 0) return
    if (openers.get(this.#path) === shared) openers.delete(this.#path)
    void shared.opener[Symbol.asyncDispose]()
  }
}

interface SharedOpener {
  readonly opener: DescriptorOpener
  users: number
}

/** By path of the endpoint. */
const openers = new Map<string, SharedOpener>()

function share(path: string): SharedOpener {
  const known = openers.get(path)
  if (known?.opener.isOpen === true) {
    known.users += 1
    return known
  }
  const shared = { opener: DescriptorOpener.connect(path), users: 1 }
  openers.set(path, shared)
  return shared
}
