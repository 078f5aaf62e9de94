/**
 * The control process: composes store, images, drivers, scheduler, link and API. The only one with privileges.
 *
 * The supervisor starts it with a `ControlConfig` as JSON in its first argument, and the sockets `api`, `link` and
 * perhaps `api-tcp`. SIGTERM: the node ends, and every instance with it. SIGINT: it lets go of them, to be adopted by its
 * successor. A failed assertion ends it; it is started again.
 */

import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'

import { openApiServer, type ApiListener } from '../api/server.ts'
import { loadToken } from '../api/token.ts'
import { QuiverError } from '../core/error.ts'
import { openBridge, type Bridge } from '../drivers/bridge.ts'
import type { Cores } from '../drivers/cores.ts'
import type { Driver, OpenStream } from '../drivers/driver.ts'
import type { ExecutorTree } from '../drivers/module-plan.ts'
import { installProcessHost, removeGroups, type ProcessHost } from '../drivers/process.ts'
import { openSandboxDriver } from '../drivers/sandbox/index.ts'
import { openWasmDriver, type WasmDriver } from '../drivers/wasm/index.ts'
import { StreamOpener } from '../fds/streams.ts'
import {
  EXECUTOR_MAIN,
  EXECUTOR_PROGRAM,
  ExecutorBinary,
  MODULE_PATH,
} from '../images/executor-binary.ts'
import type { ImageStore } from '../images/images.ts'
import { openImageStore } from '../images/open.ts'
import { EventLog } from '../scheduler/events.ts'
import { Scheduler } from '../scheduler/scheduler.ts'
import { listSetAside, openSqliteStore } from '../store/sqlite/index.ts'

import type { ControlConfig } from './control-config.ts'
import { openCores, removeOldCores } from './cores.ts'
import { keepHeapCompact, storeCompiledCode } from './heap.ts'
import { LinkDataPlane } from './link-data-plane.ts'
import { openMachines } from './machines.ts'
import { findTreesInUse } from './own-trees.ts'
import { buildLog, untilTold, type EndSignal } from './process.ts'
import { refuseRequests } from './refusal.ts'
import { clearRunFolder } from './run-folder.ts'
import { buildControlService, handleEgress, handleProxy } from './service/service.ts'
import { takeSockets } from './sockets.ts'

type Socket = (name: string) => number
const log = buildLog('control')

async function main(config: ControlConfig): Promise<void> {
  // Before anything is begun that would have to be ended.
  const told = untilTold()
  const socket = takeSockets(process.env, process.pid)
  try {
    await serve(config, socket, told)
  } catch (thrown) {
    // A bug is told as well: whoever waits for this node would wait for ever.
    const error = QuiverError.from(thrown)
    const what = error.reason === 'UNEXPECTED' ? inspect(thrown) : error.message
    log(`cannot start: ${what} (${error.reason})`)
    await refuseRequests(socket('api'), error, told)
    process.exit(1)
  }
}

async function serve(
  config: ControlConfig,
  socket: Socket,
  told: Promise<EndSignal>,
): Promise<void> {
  const { dataFolder } = config
  await mkdir(dataFolder, { recursive: true, mode: 0o711 })

  await using resources = new AsyncDisposableStack()
  const events = new EventLog(path.join(dataFolder, 'events.log'))
  const stateFile = path.join(dataFolder, 'state', 'state.db')
  const store = resources.use(await openSqliteStore(stateFile))
  for (const key of listSetAside(stateFile))
    log(`"${key}" in ${stateFile} was damaged and is set aside`)
  const recipesFolder = path.join(config.packageRoot, 'recipes')
  const images = resources.use(await openImageStore({ dataFolder, store, recipesFolder }))
  const cores = await openCores(dataFolder, events)
  const { executors, ...opened } = await openDrivers(config, images, cores, resources)
  const { bridge, sandbox, microvm, wasm } = opened
  const dataPlane = new LinkDataPlane({
    onProxy: (message) => handleProxy(message, parts),
    onProxyConnected: () => {
      for (const controller of scheduler.controllers) controller.dataPlaneConnected()
    },
    onEgress: (message) => handleEgress(message, parts),
  })
  const all = [sandbox, microvm, wasm]
  const drivers = new Map<string, Driver>(all.map((one) => [one.isolation, one]))
  const shared = { images, drivers, openStream, dataPlane, events }
  const scheduler = resources.use(
    new Scheduler({
      ...shared,
      store,
      executor: async () => executorTree(await executors.tree()),
      bridge,
      inspectModule: (...asked) => wasm.inspect(...asked),
      tasksMax: config.tasksMax,
      uidsMax: uidsForTasks(config),
      instancesMax: config.instancesMax,
    }),
  )
  const parts = { ...shared, config, cores, scheduler, listSetAside: () => listSetAside(stateFile) }
  const service = buildControlService(parts)
  await scheduler.open()
  void removeOldCores(cores, scheduler)
  if (usesWasm(scheduler)) void wasm.warmUp()
  void removeOldExecutors(config, executors)
  resources.use(await dataPlane.listen({ fd: socket('link') }, (problem) => log(problem.message)))
  const listeners = await apiListeners(config, socket)
  resources.use(
    await openApiServer({
      service,
      listeners,
      onFailure: (error, requestId) => log(`${requestId}: ${error.stack}\n${String(error.cause)}`),
    }),
  )
  events.emit({ type: 'nodeStarted', message: `control started with pid ${process.pid}` })
  storeCompiledCode()
  resources.use(keepHeapCompact())
  const signal = await told
  if (signal !== 'SIGTERM') return
  await scheduler.stopEverything()
  await wasm.stopExecutors()
  for (const folder of SANDBOXES) await removeGroups(groupOf(config, folder))
  await clearRunFolder(config.runFolder)
}

interface Drivers {
  readonly bridge: Bridge
  readonly sandbox: Driver
  readonly microvm: Driver
  readonly wasm: WasmDriver
  /** What runs WebAssembly in a process. */
  readonly executors: ExecutorBinary
}

async function openDrivers(
  config: ControlConfig,
  images: ImageStore,
  cores: Cores,
  resources: AsyncDisposableStack,
): Promise<Drivers> {
  const { dataFolder } = config
  const executors = new ExecutorBinary(images)
  const installed = await installHost(config)
  const bridge = openBridge({
    settings: config.bridge,
    ainitPath: installed.ainitPath,
    namesFolder: path.join(config.runFolder, 'n'),
    isRoot: config.uidBase !== null,
  })
  const host = { ...installed, bridge }
  const sandbox = resources.use(await openSandboxDriver(host, groupOf(config, 'instances')))
  const machinesGroup = groupOf(config, 'microvms')
  const machinesHost = { ...host, cores }
  const microvm = resources.use(await openMachines(config, machinesHost, images, machinesGroup))
  // Executors are nobody's neighbours.
  const executorsHost = { ...installed, instancesFolder: path.join(dataFolder, 'executors') }
  const processes = resources.use(
    await openSandboxDriver(executorsHost, groupOf(config, 'executors')),
  )
  const wasm = resources.use(
    await openWasmDriver({
      instancesFolder: path.join(dataFolder, 'modules'),
      processes,
      openStream,
      egressFolder: host.egressFolder,
      tree: async () => executorTree(await executors.tree()),
      uidIndex: uidsForTasks(config) ?? 0,
    }),
  )

  return { bridge, sandbox, microvm, wasm, executors }
}

/** Folders of instances whose processes Quiver starts: for tasks, for those in machines, and for executors of WebAssembly. */
const SANDBOXES = ['instances', 'microvms', 'executors'] as const

/** What upgrades have left, once it is known which instances live; what fails is tried again when control starts again. */
async function removeOldExecutors(
  { dataFolder }: ControlConfig,
  executors: ExecutorBinary,
): Promise<void> {
  try {
    await executors.removeOthers(await findTreesInUse(dataFolder, SANDBOXES))
  } catch (thrown) {
    log(`executors of earlier versions stay: ${String(thrown)}`)
  }
}

/** Executors run as a user of their own: the last of the node's range. */
function uidsForTasks({ uidsMax }: ControlConfig): number | null {
  return uidsMax === null ? null : uidsMax - 1
}

function executorTree(tree: string): ExecutorTree {
  return { path: tree, entry: EXECUTOR_PROGRAM, main: EXECUTOR_MAIN, modulePath: MODULE_PATH }
}

/** Whether a task is there that the first request would start an executor for. */
function usesWasm({ registry }: Scheduler): boolean {
  return registry.list().some(({ name, traffic: [current] }) => {
    const revision = registry.revisions(name).get(current?.revision ?? 0)
    return revision?.spec.isolation === 'wasm'
  })
}

async function installHost(config: ControlConfig): Promise<ProcessHost> {
  return await installProcessHost({
    dataFolder: config.dataFolder,
    runFolder: config.runFolder,
    ainitPath: path.join(config.packageRoot, 'native', 'build', 'ainit'),
    uidBase: config.uidBase,
    streamGid: config.proxyGid,
  })
}

/** Below which name the control groups of a sandbox are. */
function groupOf({ dataFolder }: ControlConfig, folder: (typeof SANDBOXES)[number]): string {
  const node = createHash('sha256').update(dataFolder).digest('hex').slice(0, 8)
  return folder === 'instances' ? node : `${node}-${folder}`
}

/** One stream, for health checks: the proxy keeps its openers, control needs them for a moment. */
const openStream: OpenStream = async (endpoint, port, signal) => {
  await using opener = StreamOpener.connect(endpoint.path)
  return await opener.open(endpoint.port ?? port, signal)
}

async function apiListeners(
  config: ControlConfig,
  socket: Socket,
): Promise<readonly ApiListener[]> {
  const unix: ApiListener = { listen: { fd: socket('api') }, access: { kind: 'unix' } }
  if (!config.hasApiTcp) return [unix]
  const token = await loadToken(path.join(config.dataFolder, 'token'))
  const access = { kind: 'tcp', token, hosts: config.apiHosts } as const
  return [unix, { listen: { fd: socket('api-tcp') }, access }]
}

const config: ControlConfig = JSON.parse(process.argv[2] ?? '{}')
await main(config)
process.exit(0)
