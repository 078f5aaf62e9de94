import assert from 'node:assert/strict'
import { test } from 'node:test'

import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import { openMicrovmNode, whyNoMicrovms } from '../../../tests/fixtures/microvm-node.ts'
import { openStream, SPEC } from '../../../tests/fixtures/sandbox-node.ts'
import { buildShellPlans } from '../../../tests/fixtures/shell-plans.ts'

const MIB = 1024 * 1024

/** @param phase  whether machines boot, or are clones of one that has booted */
async function openFixture(phase: 'boot' | 'clone'): Promise<DriverFixture> {
  const node = await openMicrovmNode()
  const plans = await buildShellPlans(node, node.emptyTree, {
    isolation: 'microvm',
    limits: { ...SPEC.limits, memoryBytes: 64 * MIB },
  })
  const open = () => node.openDriver((error) => assert.fail(error))
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

const skip = await whyNoMicrovms()
if (skip === false) {
  testDriver('microvm that boots', () => openFixture('boot'))
  testDriver('microvm that is a clone', () => openFixture('clone'))
} else {
  test('the microvm driver', { skip }, () => {})
}
