/** What the control process opens for microVMs: which files of the node and of the machine they are made of. */

import path from 'node:path'

import type { QuiverError } from '../core/error.ts'
import type { Driver } from '../drivers/driver.ts'
import { openMicrovmDriver } from '../drivers/microvm/index.ts'
import type { ProcessHost } from '../drivers/process.ts'
import type { ImageStore } from '../images/images.ts'
import { MachineBinary } from '../images/machine-binary.ts'
import { findKernel } from '../kernel/kernels.ts'

import type { ControlConfig } from './control-config.ts'
import { buildLog } from './process.ts'

const log = buildLog('control')

/**
 * @param host  with the core dumps that it is to take
 * @param group  name of its control groups
 */
export async function openMachines(
  config: Pick<ControlConfig, 'dataFolder' | 'packageRoot'>,
  host: ProcessHost,
  images: ImageStore,
  group: string,
): Promise<Driver> {
  const { dataFolder } = config
  const hypervisor = new MachineBinary(images)
  const uid = process.getuid?.() ?? 0
  const parts = {
    hypervisorTree: () => hypervisor.tree(),
    findKernel: async () => (await findKernel(process.env, uid))?.path,
    ainitPath: host.ainitPath,
    firstProcess: path.join(config.packageRoot, 'native', 'build', 'first-process'),
    bwrapPath: host.bwrapPath,
    uid: host.uidBase,
    folder: path.join(dataFolder, 'bin'),
    disksFolder: path.join(dataFolder, 'disks'),
    templatesFolder: path.join(dataFolder, 'templates'),
    treesFolder: path.join(dataFolder, 'trees'),
  }
  const machinesHost = { ...host, instancesFolder: path.join(dataFolder, 'microvms') }
  return await openMicrovmDriver(machinesHost, parts, group, logFailure)
}

function logFailure(error: QuiverError): void {
  log(`no template could be made: ${error.message}`)
}
