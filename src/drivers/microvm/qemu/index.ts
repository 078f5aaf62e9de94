/** QEMU as the hypervisor: `Hypervisor` of `machine.ts`. */

import type { Hypervisor, MachineControl } from '../machine.ts'

import { buildArgv } from './argv.ts'
import { QemuControl } from './control.ts'
import { QmpClient } from './qmp.ts'

/** For one answer. A machine of many that start at once takes long to say anything. */
const ANSWER_TIMEOUT_MS = 10_000

/** @param version  as QEMU and its package say it: see `qemuVersion` */
export function createQemu(version: string): Hypervisor {
  return {
    name: 'qemu',
    version,
    argv: buildArgv,
    async connect(socketPath: string): Promise<MachineControl> {
      return new QemuControl(await QmpClient.connect(socketPath, ANSWER_TIMEOUT_MS))
    },
  }
}
