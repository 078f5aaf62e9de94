/** What stands outside of an instance for tests: the data plane that asks for streams, and the egress that relays hand over to. */

import assert from 'node:assert/strict'
import { chownSync, mkdirSync } from 'node:fs'
import { Socket } from 'node:net'
import path from 'node:path'

import * as fds from '../../src/fds/fds.ts'

import { isRoot, UID, type Instance, type Workshop } from './harness.ts'

/** The data plane's side of `.p`. */
export class Streams implements Disposable {
  readonly fd: number
  readonly #watch: Disposable
  #wake = Promise.withResolvers<void>()

  constructor(instance: Instance) {
    this.fd = fds.connectSeqpacket(`${instance.socketPrefix}.p`)
    this.#watch = fds.watchReadable(this.fd, () => {
      this.#wake.resolve()
      this.#wake = Promise.withResolvers()
    })
  }

  send(id: number, port: number): void {
    const request = Buffer.alloc(8)
    request.writeUInt32LE(id, 0)
    request.writeUInt16LE(port, 4)
    assert.ok(fds.send(this.fd, request), 'the socket is full')
  }

  async receive(): Promise<
    { readonly id: number; readonly status: number; readonly fd: number | undefined } | 'end'
  > {
    for (;;) {
      const message = fds.receive(this.fd, 64)
      if (message === 'end') return 'end'
      if (message !== undefined) {
        assert.equal(message.bytes.length, 8)
        return {
          id: message.bytes.readUInt32LE(0),
          status: message.bytes.readUInt16LE(4),
          fd: message.fds[0],
        }
      }
      await this.#wake.promise
    }
  }

  async open(port: number): Promise<Socket> {
    this.send(1, port)
    const answer = await this.receive()
    assert.ok(
      answer !== 'end' && answer.status === 0 && answer.fd !== undefined,
      JSON.stringify(answer),
    )
    return this.adopt(answer.fd)
  }

  /** A socket of what an answer carried. */
  adopt(fd: number): Socket {
    return new Socket({ fd })
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]()
    fds.close(this.fd)
  }
}

/** The socket that relays hand their connections to. */
export class EgressListener implements Disposable {
  readonly records: readonly (readonly [string, string])[]
  readonly #listener: number

  constructor(workshop: Workshop, name: string) {
    const folder = path.join(workshop.folder, name)
    mkdirSync(folder, { mode: 0o711 })
    this.#listener = fds.listenSeqpacket(path.join(folder, 'egress.sock'), 0o600)
    if (isRoot) chownSync(path.join(folder, 'egress.sock'), UID, UID)
    this.records = [
      ['egress', folder],
      ['token', 'secret-token'],
    ]
  }

  /** Takes one connection, and answers it. @returns what came with it */
  async answer(content: string): Promise<string> {
    await readable(this.#listener)
    const connection = fds.acceptSeqpacket(this.#listener)
    assert.ok(connection !== undefined)
    await readable(connection)
    const message = fds.receive(connection, 512)
    fds.close(connection)
    assert.ok(message !== undefined && message !== 'end')
    const [fd] = message.fds
    assert.ok(fd !== undefined)
    new Socket({ fd }).end(content)
    return message.bytes.toString()
  }

  [Symbol.dispose](): void {
    fds.close(this.#listener)
  }
}

export async function readable(fd: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const watch = fds.watchReadable(fd, resolve)
  await promise
  watch[Symbol.dispose]()
}
