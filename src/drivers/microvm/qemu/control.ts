/** `MachineControl` in QEMU's words: which commands it takes, and which events say that they are done. */

import type { FileHandle } from 'node:fs/promises'

import { QuiverError } from '../../../core/error.ts'
import type { MachineControl, MachineStatus } from '../machine.ts'

import { isObject, type QmpClient } from './qmp.ts'

/** Name of the descriptor on the connection. */
const STATE = 'state'

export class QemuControl implements MachineControl {
  readonly closed: Promise<Error | undefined>
  readonly #qmp: QmpClient

  constructor(qmp: QmpClient) {
    this.#qmp = qmp
    this.closed = qmp.closed
  }

  async status(): Promise<MachineStatus> {
    const answer = await this.#qmp.execute('query-status')
    const status = isObject(answer) ? answer['status'] : undefined
    if (status === 'running') return 'running'
    if (status === 'inmigrate') return 'loading'
    const isEnded =
      status === 'shutdown' || status === 'guest-panicked' || status === 'internal-error'
    return isEnded ? 'ended' : 'paused'
  }

  async pause(): Promise<void> {
    await this.#qmp.execute('stop')
  }

  async resume(): Promise<void> {
    await this.#qmp.execute('cont')
  }

  async save(file: FileHandle): Promise<void> {
    await this.#migrate(file, 'migrate')
  }

  async load(file: FileHandle): Promise<void> {
    await this.#migrate(file, 'migrate-incoming')
  }

  async memoryBytes(): Promise<number> {
    const answer = await this.#qmp.execute('query-balloon')
    const actual = isObject(answer) ? answer['actual'] : undefined
    if (typeof actual === 'number' && Number.isSafeInteger(actual) && actual >= 0) return actual
    throw strange('query-balloon')
  }

  async resizeMemory(bytes: number): Promise<void> {
    await this.#qmp.execute('balloon', { value: bytes })
  }

  async quit(): Promise<void> {
    try {
      await this.#qmp.execute('quit')
    } catch (thrown) {
      // It may be gone before its answer is.
      if (QuiverError.from(thrown).reason !== 'MACHINE_GONE') throw thrown
    }
    await this.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qmp[Symbol.asyncDispose]()
  }

  /** The state goes through a descriptor: QEMU sees no path, opens nothing and starts nothing. */
  async #migrate(file: FileHandle, command: 'migrate' | 'migrate-incoming'): Promise<void> {
    const capabilities = ['x-ignore-shared', 'events'].map((capability) => ({
      capability,
      state: true,
    }))
    await this.#qmp.execute('migrate-set-capabilities', { capabilities })
    await this.#qmp.execute('getfd', { fdname: STATE }, [file.fd])
    const done = this.#qmp.waitFor(
      ({ name, data }) => name === 'MIGRATION' && isFinal(data['status']),
      command,
    )
    // Its failure is reported below, also when the command itself fails first.
    done.catch(() => {})
    await this.#qmp.execute(command, { uri: `fd:${STATE}` })
    const { data } = await done
    if (data['status'] === 'completed') return
    throw await this.#failure(command)
  }

  async #failure(command: string): Promise<QuiverError> {
    const answer = await this.#qmp.execute('query-migrate')
    const said = isObject(answer) ? answer['error-desc'] : undefined
    const message = `the virtual machine could not ${command === 'migrate' ? 'be saved' : 'be loaded'}: ${String(said)}`
    return new QuiverError('failed_precondition', 'MACHINE_REFUSED', message)
  }
}

function isFinal(status: unknown): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}

function strange(command: string): QuiverError {
  const message = `the virtual machine gave a strange answer to "${command}"`
  return new QuiverError('failed_precondition', 'MACHINE_REFUSED', message)
}
