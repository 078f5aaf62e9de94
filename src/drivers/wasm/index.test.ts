import { randomBytes } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { testDriver, type DriverFixture } from '../../../tests/conformance/driver.ts'
import { compileTextToBytes } from '../../../tests/fixtures/compile.ts'
import {
  HTTP,
  NO_STDIO,
  openSandboxNode,
  openStream,
  SPEC,
} from '../../../tests/fixtures/sandbox-node.ts'
import type { TaskSpec } from '../../core/task.ts'
import {
  EXECUTOR_MAIN,
  EXECUTOR_PROGRAM,
  ExecutorBinary,
  MODULE_PATH,
} from '../../images/executor-binary.ts'
import type { Driver, Instance, InstancePlan } from '../driver.ts'
import { removeGroups } from '../process.ts'
import { openSandboxDriver } from '../sandbox/index.ts'

import { openWasmDriver } from './index.ts'

const MIB = 1024 * 1024

/** Exits with the number of its arguments, less its name. */
const EXIT = `(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (call $exit (i32.sub (i32.load (i32.const 0)) (i32.const 1)))))`

/** Answers "hi", or as long as stdin lasts with what it reads. */
const COPY = `(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 100) "hi\\n")
  (func $put (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start")
    (loop $more
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8))
        (then
          (call $put (i32.const 1024) (i32.load (i32.const 8)))
          (br $more))))))`

/** Modules in place of programs; what is to run once is given an executor of its own. */
async function openFixture(): Promise<DriverFixture> {
  const node = await openSandboxNode()
  const executors = new ExecutorBinary(node.images)
  const tree = async () => ({
    path: await executors.tree(),
    entry: EXECUTOR_PROGRAM,
    main: EXECUTOR_MAIN,
    modulePath: MODULE_PATH,
  })
  const binaryTree = path.join(node.folder, 'modules')
  await mkdir(binaryTree)
  await chmod(binaryTree, 0o755)
  await mkdir(node.host.egressFolder, { recursive: true })
  for (const [name, source] of [
    ['exit', EXIT],
    ['copy', COPY],
  ] as const) {
    const bytes = await compileTextToBytes(source, name, node.folder)
    await writeFile(path.join(binaryTree, `${name}.wasm`), bytes)
  }
  const host = { ...node.host, instancesFolder: path.join(node.folder, 'data/executors') }
  const instancesFolder = path.join(node.folder, 'data/modules')
  const group = `${node.id}-executors`
  let processes: Instance[] = []

  const open = async () => {
    const driver = await openSandboxDriver(host, group)
    return await openWasmDriver({
      instancesFolder,
      processes: remembering(driver, (process) => processes.push(process)),
      openStream,
      tree,
      egressFolder: node.host.egressFolder,
      uidIndex: 0,
    })
  }
  const plan = (
    name: string,
    changes: Partial<TaskSpec> = {},
    more: Partial<InstancePlan> = {},
  ): InstancePlan => ({
    id: `conformance-1-${randomBytes(3).toString('hex')}`,
    task: 'conformance',
    revision: 1,
    spec: {
      ...SPEC,
      isolation: 'wasm',
      limits: { ...SPEC.limits, memoryBytes: 256 * MIB, pids: 64 },
      ...changes,
    },
    binaryTree,
    imageTree: node.imageTree,
    entry: `/${name}.wasm`,
    env: {},
    uidIndex: 0,
    relays: [],
    mounts: [],
    wildcards: [],
    token: '0'.repeat(32),
    stdio: NO_STDIO,
    isRun: false,
    ...more,
  })
  const serve = () => plan('copy', { http: HTTP, wasm: BODY })
  const run = { isRun: true }
  return {
    open,
    openStream,
    phases: ['sandbox', 'listen'],
    kill: async () => {
      const ended = processes
      processes = []
      for (const process of ended) if (process.state === 'running') await process.signal(9)
      return 'SIGNALED'
    },
    without: {
      ends: 'a module that is served ends only when it is told to',
      ports: 'a module listens nowhere: its executor does',
      grows: 'a module is refused the memory that it may not have, and goes on',
    },
    plans: {
      exit: (status) => plan('exit', { args: Array.from({ length: status }, String) }, run),
      sleep: serve,
      stubborn: serve,
      serve,
      serveElsewhere: serve,
      missing: () => plan('no-such-module', { http: HTTP }),
      treeless: () => ({ ...serve(), binaryTree: '/no/such/tree' }),
      copy: (stdio) => plan('copy', {}, { ...run, stdio }),
      hog: serve,
    },
    [Symbol.asyncDispose]: async () => {
      await using driver = await open()
      for (const instance of await driver.adopt()) {
        await instance.stop('STOPPED', 0)
        await instance.remove()
      }
      await driver.stopExecutors()
      await removeGroups(group)
      await node[Symbol.asyncDispose]()
    },
  }
}

const BODY = {
  stdout: 'body',
  entry: null,
  isReused: false,
  cpuTimeMs: 1000,
  outputBytes: MIB,
  hostCalls: 1000,
} as const

function remembering(driver: Driver, remember: (process: Instance) => void): Driver {
  return {
    isolation: driver.isolation,
    capabilities: driver.capabilities,
    probe: () => driver.probe(),
    prepare: async (plan) => {
      const process = await driver.prepare(plan)
      remember(process)
      return process
    },
    adopt: () => driver.adopt(),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  }
}

testDriver('wasm', openFixture)
