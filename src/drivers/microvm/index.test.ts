import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'

import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import { imageConfig } from '../../../tests/fixtures/images.ts'
import { openSandboxNode, openStream, SPEC } from '../../../tests/fixtures/sandbox-node.ts'
import { buildShellPlans } from '../../../tests/fixtures/shell-plans.ts'
import { MachineBinary } from '../../images/machine-binary.ts'
import { findKernel } from '../../kernel/kernels.ts'

import { openMicrovmDriver } from './index.ts'

const MIB = 1024 * 1024

/** @param phase  whether machines boot, or are clones of one that has booted */
async function openFixture(phase: 'boot' | 'clone'): Promise<DriverFixture> {
  const node = await openSandboxNode()
  const { images, host } = node
  const dataFolder = path.dirname(host.instancesFolder)
  const busybox = await images.resolveBinary({ name: 'busybox', version: undefined })
  const image = await images.putImage(imageConfig(busybox.digest, []))
  const { path: imageTree } = await images.materialise(image.digest)
  const hypervisor = new MachineBinary(images)
  const parts = {
    hypervisorTree: () => hypervisor.tree(),
    findKernel: async () => (await findKernel(process.env, process.getuid?.() ?? 0))?.path,
    ainitPath: host.ainitPath,
    firstProcess: path.join(import.meta.dirname, '../../../native/build/first-process'),
    bwrapPath: host.bwrapPath,
    uid: host.uidBase,
    folder: path.join(dataFolder, 'bin'),
    disksFolder: path.join(dataFolder, 'disks'),
    templatesFolder: path.join(dataFolder, 'templates'),
    treesFolder: path.join(dataFolder, 'trees'),
  }
  const plans = await buildShellPlans(node, imageTree, {
    isolation: 'microvm',
    limits: { ...SPEC.limits, memoryBytes: 64 * MIB },
  })
  const open = () => openMicrovmDriver(host, parts, node.id, (error) => assert.fail(error))
  if (phase === 'clone') {
    await using driver = await open()
    await driver.provision?.(plans.sleep(), AbortSignal.timeout(60_000))
  }
  return {
    open,
    openStream,
    phases: [phase, 'exec', 'listen'],
    kill: async (instance) => {
      await instance.signal(9)
      return 'SIGNALED'
    },
    without: {},
    plans,
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}

const kernel = await findKernel(process.env, process.getuid?.() ?? 0)
if (kernel === undefined) {
  test('the microvm driver', { skip: 'no kernel was built: run "quiver kernel build"' }, () => {})
} else {
  testDriver('microvm that boots', () => openFixture('boot'))
  testDriver('microvm that is a clone', () => openFixture('clone'))
}
