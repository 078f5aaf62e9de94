import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import { openSandboxNode, openStream } from '../../../tests/fixtures/sandbox-node.ts'
import { buildShellPlans } from '../../../tests/fixtures/shell-plans.ts'

import { openSandboxDriver } from './index.ts'

async function openFixture(): Promise<DriverFixture> {
  const node = await openSandboxNode()
  return {
    open: () => openSandboxDriver(node.host, node.id),
    openStream,
    phases: ['sandbox', 'exec', 'listen'],
    kill: async (instance) => {
      await instance.signal(9)
      return 'SIGNALED'
    },
    without: {},
    plans: await buildShellPlans(node, node.imageTree),
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}

testDriver('sandbox', openFixture)
