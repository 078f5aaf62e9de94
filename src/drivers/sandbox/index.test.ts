import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import type { TaskSpec } from '../../core/task.ts'
import { StreamOpener } from '../../fds/streams.ts'
import { openImageStore } from '../../images/open.ts'
import { openMemoryStore } from '../../store/memory/index.ts'
import type { InstancePlan, StdioPlan } from '../driver.ts'

import { installSandboxHost, openSandboxDriver } from './index.ts'

const ROOT = path.join(import.meta.dirname, '../../..')
const MIB = 1024 * 1024
const NO_STDIO: StdioPlan = { isTerminal: false, isHeld: false, hasStdin: false }

const SPEC: TaskSpec = {
  name: 'conformance',
  isolation: 'sandbox',
  args: [],
  argv0: 'sh',
  env: {},
  workdir: '/',
  http: null,
  ports: [],
  scale: { min: 0, max: 1, concurrency: 10, pauseAfterMs: null, stopAfterMs: null },
  limits: {
    memoryBytes: 32 * MIB,
    cpuMillis: null,
    startCpuMillis: 1000,
    pids: 32,
    files: 1024,
    fileBytes: null,
    tmpBytes: 256 * MIB,
    requestTimeoutMs: 10_000,
    startTimeoutMs: 10_000,
    stopTimeoutMs: 1000,
    wallTimeMs: null,
    bodyBytes: null,
    queueLength: 10,
    logBytes: MIB,
  },
  readyPath: null,
  allow: [],
  connect: [],
  network: 'private',
  isWritable: false,
  stopSignal: 15,
}

/** busybox's shell in place of a program, in a node of its own below the temporary folder. */
async function openFixture(): Promise<DriverFixture> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-driver-'))
  await chmod(folder, 0o711)
  const dataFolder = path.join(folder, 'data')
  const runFolder = path.join(folder, 'run')
  const imageTree = path.join(folder, 'app')
  for (const one of [dataFolder, runFolder, imageTree]) await mkdir(one, { mode: 0o711 })
  await chmod(imageTree, 0o755)
  const images = await openImageStore({
    dataFolder,
    store: openMemoryStore(),
    recipesFolder: path.join(ROOT, 'recipes'),
  })
  const busybox = await images.resolveBinary({ name: 'busybox', version: undefined })
  const { path: binaryTree } = await images.materialise(busybox.digest)
  const isRoot = process.getuid?.() === 0
  const host = await installSandboxHost({
    dataFolder,
    runFolder,
    ainitPath: path.join(ROOT, 'native/build/ainit'),
    uidBase: isRoot ? 300_000 : null,
    streamGid: null,
  })
  const nodeId = createHash('sha256').update(folder).digest('hex').slice(0, 8)

  const shell = (
    script: string,
    changes: Partial<TaskSpec> = {},
    stdio = NO_STDIO,
  ): InstancePlan => ({
    id: `conformance-1-${randomBytes(3).toString('hex')}`,
    task: 'conformance',
    revision: 1,
    spec: { ...SPEC, args: ['-c', script], ...changes },
    binaryTree,
    imageTree,
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
  const http = { port: 8000, routes: [], sticky: 'none' } as const
  const serve = (port: number) =>
    shell(`mkdir /tmp/w; echo hi >/tmp/w/index.html; exec busybox httpd -f -p ${port} -h /tmp/w`, {
      http,
    })
  return {
    open: () => openSandboxDriver(host, nodeId),
    openStream: async (endpoint, port, signal) => {
      await using opener = StreamOpener.connect(endpoint.path)
      return await opener.open(port, signal)
    },
    plans: {
      exit: (status) => shell(`exit ${status}`),
      sleep: () => shell('exec sleep 3600'),
      // It listens once it ignores the signal: ready means stubborn.
      stubborn: () =>
        shell("trap '' TERM; busybox httpd -p 8000 -h /tmp; while :; do sleep 1; done", { http }),
      serve: () => serve(8000),
      serveElsewhere: () => serve(9999),
      missing: () => ({ ...shell(''), entry: '/no/such/program' }),
      copy: (stdio) => shell('exec cat', {}, stdio),
      hog: () => shell('exec dd if=/dev/zero of=/tmp/hog bs=1M'),
    },
    [Symbol.asyncDispose]: async () => {
      await images[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

testDriver('sandbox', openFixture)
