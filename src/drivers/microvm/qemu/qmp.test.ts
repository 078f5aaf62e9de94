import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { suite, test } from 'node:test'

import { MachineRoom, READY, whyNoMachines } from '../../../../tests/fixtures/machine.ts'

import { QmpClient } from './qmp.ts'

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\n'
const TIMEOUT_MS = 300

/** A peer that says whatever the test wants it to. */
class Peer implements AsyncDisposable {
  readonly path: string
  readonly #server: Server
  readonly #folder: string
  readonly #sockets = new Set<Socket>()

  private constructor(folder: string, server: Server) {
    this.path = path.join(folder, 'q')
    this.#folder = folder
    this.#server = server
  }

  /** @param answer  to each line that it gets; nothing when undefined */
  static async open(
    greeting: string,
    answer: (command: { readonly execute: string; readonly id: string }) => string | undefined,
  ): Promise<Peer> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'quiver-qmp-'))
    await chmod(folder, 0o711)
    const server = createServer()
    const peer = new Peer(folder, server)
    server.on('connection', (socket) => {
      peer.#sockets.add(socket)
      socket.on('error', () => {})
      socket.write(greeting)
      socket.on('data', (chunk: Buffer) => {
        for (const line of chunk.toString().trim().split('\n')) {
          const said = answer(JSON.parse(line))
          if (said !== undefined) socket.write(said)
        }
      })
    })
    server.listen(peer.path)
    await once(server, 'listening')
    return peer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

const good = ({ id }: { readonly id: string }): string => `{"return": {}, "id": "${id}"}\n`

suite('QmpClient and a peer that is not to be trusted', () => {
  const hostile: readonly [what: string, greeting: string, said: string][] = [
    ['a line without end', GREETING, 'x'.repeat(300 * 1024)],
    ['no JSON', GREETING, 'what?\n'],
    ['JSON that is no object', GREETING, '[1, 2]\n'],
    ['more events than serve any purpose', GREETING, '{"event": "X", "data": {}}\n'.repeat(5000)],
    ['deep JSON', GREETING, `${'['.repeat(100_000)}\n`],
  ]
  for (const [what, greeting, said] of hostile) {
    test(`loses its connection: ${what}`, async () => {
      await using peer = await Peer.open(greeting, (command) =>
        command.execute === 'query-status' ? said : good(command),
      )
      await using client = await QmpClient.connect(peer.path, TIMEOUT_MS)
      await assert.rejects(client.execute('query-status'), { reason: 'MACHINE_GONE' })
      assert.ok((await client.closed) instanceof Error)
      await assert.rejects(client.execute('query-status'), { reason: 'MACHINE_GONE' })
    })
  }

  test('is not waited for without end: no greeting, no answer', async () => {
    await using silent = await Peer.open('', () => undefined)
    await assert.rejects(QmpClient.connect(silent.path, 30), { reason: 'MACHINE_SILENT' })
    await using mute = await Peer.open(GREETING, (command) =>
      command.execute === 'qmp_capabilities' ? good(command) : undefined,
    )
    await using client = await QmpClient.connect(mute.path, 30)
    await assert.rejects(client.execute('cont'), { reason: 'MACHINE_SILENT' })
    await assert.rejects(
      client.waitFor(() => true, 'an event'),
      /MACHINE|is not there|did not answer/,
    )
  })

  test('answers that nobody asked for are skipped, in pieces or many at a time', async () => {
    const unasked = '{"return": 7, "id": "99"}\n{"return": 8}\n{"event": 5}\n{}\n'
    await using peer = await Peer.open(GREETING, (command) => `${unasked}${good(command)}`)
    await using client = await QmpClient.connect(peer.path, TIMEOUT_MS)
    assert.deepEqual(await client.execute('query-status'), {})
  })

  test('nobody there is said at once', async () => {
    await assert.rejects(QmpClient.connect('/tmp/quiver-no-such-socket', TIMEOUT_MS), {
      reason: 'MACHINE_GONE',
    })
  })
})

suite('QEMU', { skip: whyNoMachines() }, () => {
  test('a machine is paused, given less memory, saved and ended', async () => {
    await using room = await MachineRoom.open()
    const initramfs = await room.guest(`echo "${READY}"; sleep 1000`)
    const memory = { kind: 'saving', file: await room.memoryFile() } as const
    const { machine, control } = await room.startControlled(room.plan({ initramfs, memory }))
    await machine.line(READY)
    assert.equal(await control.status(), 'running')
    const before = await control.memoryBytes()
    await control.resizeMemory(before / 2)
    await machine.until(() => machine.isRunning)
    for (let bytes = before; bytes > before / 2;) bytes = await control.memoryBytes()
    await control.pause()
    assert.equal(await control.status(), 'paused')
    const file = path.join(room.folder, 'state')
    await using state = await open(file, 'w')
    await control.save(state)
    assert.equal((await readFile(file)).subarray(0, 4).toString(), 'QEVM')
    await control.quit()
    await machine.ended
    await assert.rejects(control.status(), { reason: 'MACHINE_GONE' })
  })

  test('a state that is not one is refused', async () => {
    await using room = await MachineRoom.open()
    const initramfs = await room.guest('sleep 1000')
    const memory = { kind: 'saved', file: await room.memoryFile() } as const
    const plan = room.plan({ initramfs, memory, start: 'load' })
    const { machine, control } = await room.startControlled(plan)
    assert.equal(await control.status(), 'loading')
    const file = path.join(room.folder, 'state')
    await using state = await open(file, 'w+')
    await state.write(Buffer.alloc(10_000, 'x'))
    await assert.rejects(control.load(state), /MACHINE|virtual machine/)
    machine.kill()
  })

  test('a machine that is killed is gone for whoever talks to it', async () => {
    await using room = await MachineRoom.open()
    const initramfs = await room.guest('sleep 1000')
    const { machine, control } = await room.startControlled(room.plan({ initramfs }))
    machine.kill()
    await control.closed
    await assert.rejects(control.pause(), { reason: 'MACHINE_GONE' })
  })
})
