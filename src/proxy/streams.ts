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

/** ainit hands over sockets that are connected inside: docs/internals/ainit.md, "Stream socket". */
class DescriptorStreams implements InstanceStreams {
  readonly #path: string
  readonly #port: number | undefined
  #opener: DescriptorOpener | undefined

  constructor(path: string, port: number | undefined) {
    this.#path = path
    this.#port = port
  }

  async open(port: number, signal: AbortSignal, onread?: OnReadOpts): Promise<Socket> {
    if (this.#opener?.isOpen !== true) this.#opener = DescriptorOpener.connect(this.#path)
    return this.#opener.open(this.#port ?? port, signal, onread)
  }

  close(): void {
    void this.#opener?.[Symbol.asyncDispose]()
    this.#opener = undefined
  }
}
