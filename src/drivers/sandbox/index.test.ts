import { randomBytes } from 'node:crypto'

import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import {
  HTTP,
  NO_STDIO,
  openSandboxNode,
  openStream,
  SPEC,
} from '../../../tests/fixtures/sandbox-node.ts'
import type { TaskSpec } from '../../core/task.ts'
import type { InstancePlan } from '../driver.ts'

import { openSandboxDriver } from './index.ts'

/** busybox's shell in place of a program. */
async function openFixture(): Promise<DriverFixture> {
  const node = await openSandboxNode()
  const busybox = await node.images.resolveBinary({ name: 'busybox', version: undefined })
  const { path: binaryTree } = await node.images.materialise(busybox.digest)

  const shell = (
    script: string,
    changes: Partial<TaskSpec> = {},
    stdio = NO_STDIO,
  ): InstancePlan => ({
    id: `conformance-1-${randomBytes(3).toString('hex')}`,
    task: 'conformance',
    revision: 1,
    spec: { ...SPEC, argv0: 'sh', args: ['-c', script], ...changes },
    binaryTree,
    imageTree: node.imageTree,
    entry: busybox.config.entry,
    env: { PATH: '/usr/bin:/bin' },
    uidIndex: 0,
    relays: [],
    mounts: [],
    wildcards: [],
    token: '0'.repeat(32),
    stdio,
    isRun: false,
  })
  const serve = (port: number) =>
    shell(`mkdir /tmp/w; echo hi >/tmp/w/index.html; exec busybox httpd -f -p ${port} -h /tmp/w`, {
      http: HTTP,
    })
  return {
    open: () => openSandboxDriver(node.host, node.id),
    openStream,
    phases: ['sandbox', 'exec', 'listen'],
    kill: async (instance) => {
      await instance.signal(9)
      return 'SIGNALED'
    },
    without: {},
    plans: {
      exit: (status) => shell(`exit ${status}`),
      sleep: () => shell('exec sleep 3600'),
      // It listens once it ignores the signal: ready means stubborn.
      stubborn: () =>
        shell("trap '' TERM; busybox httpd -p 8000 -h /tmp; while :; do sleep 1; done", {
          http: HTTP,
        }),
      serve: () => serve(8000),
      serveElsewhere: () => serve(9999),
      missing: () => ({ ...shell(''), entry: '/no/such/program' }),
      treeless: () => ({ ...shell('exec sleep 3600'), imageTree: '/no/such/tree' }),
      copy: (stdio) => shell('exec cat', {}, stdio),
      hog: () => shell('exec dd if=/dev/zero of=/tmp/hog bs=1M'),
    },
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  }
}

testDriver('sandbox', openFixture)
