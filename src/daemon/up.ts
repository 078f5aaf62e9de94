/** `quiver up`: makes the folders, says what the processes are, and hands over to the supervisor. */

import { existsSync } from 'node:fs'
import path from 'node:path'

import type { ConfigView } from '../api/resources.ts'
import { closedFolder } from '../config/folders.ts'
import { loadNodeConfig, type NodeConfig, type Setting } from '../config/node.ts'
import { QuiverError } from '../core/error.ts'
import type { BridgeSettings } from '../drivers/bridge.ts'
import { assertUsable, ensureSelfSigned } from '../proxy/certificate.ts'

import type { ControlConfig } from './control-config.ts'
import type { EgressConfig } from './egress.ts'
import { HEAP_OPTIONS } from './heap.ts'
import type { ProxyConfig } from './proxy.ts'
import { awaitControl } from './refusal.ts'
import { clearRunFolder, makePassage, makeRunFolder, specificationPath } from './run-folder.ts'
import type { Listener, SupervisedProcess } from './supervision.ts'
import { startSupervisor, type Supervisor } from './supervisor.ts'
import { claimUidRange } from './uid-range.ts'

export interface UpOptions {
  /** Settings by dotted name, as given on the command line. */
  readonly flags: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Go on without this process, with all output in `<data>/node.log`. */
  readonly isDetached: boolean
}

export interface RunningNode {
  readonly supervisor: Supervisor
  readonly config: NodeConfig
  /** `QUIVER_*` variables that look like settings and are none. */
  readonly warnings: readonly string[]
}

/** Who is who in the node's range of uids, which are gids as well. */
interface Ids {
  readonly proxy: number
  readonly egress: number
  /** First of those for tasks. */
  readonly tasks: number
  readonly tasksMax: number
}

const DATA_PLANE_UIDS = 2
const PACKAGE_ROOT = path.resolve(import.meta.dirname, '../..')
/** libuv looks names up on half of its threads, so on 16: egress gives each task four. */
const LOOKUP_THREADS = '32'

/**
 * Resolves once every socket is bound and control answers; a node that cannot start is ended again.
 *
 * @throws QuiverError of `loadNodeConfig`, `startSupervisor`, `ensureSelfSigned`, and what control cannot start for; `failed_precondition/NATIVE_MISSING`,
 *   `permission_denied/FOLDER_DENIED`, `permission_denied/FOLDER_CLOSED`
 */
export async function startNode(options: UpOptions, signal: AbortSignal): Promise<RunningNode> {
  const uid = process.getuid?.() ?? 0
  const resolved = await loadNodeConfig({ flags: options.flags, env: options.env, uid })
  const { config } = resolved
  const ainit = path.join(PACKAGE_ROOT, 'native', 'build', 'ainit')
  if (!existsSync(ainit)) {
    throw new QuiverError(
      'failed_precondition',
      'NATIVE_MISSING',
      'the native parts are not built',
      {
        hint: 'Run "quiver doctor --fix".',
      },
    )
  }
  if (uid === 0) await assertPassable(path.dirname(config.data))
  await makePassage(config.data)
  await makeRunFolder(config.run)
  const ids = uid === 0 ? await claimIds(config) : undefined
  const supervisor = await startOrClear(
    config.run,
    {
      ainit,
      specificationPath: specificationPath(config.run),
      supervision: {
        lockPath: path.join(config.data, 'lock'),
        readyPath: path.join(config.run, 'listen'),
        ...(options.isDetached ? { logPath: path.join(config.data, 'node.log') } : {}),
        listen: listeners(config, ids),
        processes: await processes(config, resolved.settings, ids),
      },
      mode: options.isDetached ? 'detached' : 'foreground',
    },
    signal,
  )
  try {
    await awaitControl(path.join(config.run, 'api.sock'), signal)
  } catch (thrown) {
    await end(supervisor)
    await clearRunFolder(config.run)
    throw thrown
  }
  return { supervisor, config, warnings: resolved.warnings }
}

/** A folder of root's home is the usual case; every start of every task would fail. */
async function assertPassable(parent: string): Promise<void> {
  const closed = await closedFolder(parent)
  if (closed === undefined) return
  const message = `instances run as users of their own, and may not pass through ${closed}`
  throw new QuiverError('permission_denied', 'FOLDER_CLOSED', message, {
    hint: `Run "chmod o+x ${closed}", or choose another folder with --data.`,
  })
}

/** The run folder of a node that runs already is that node's. */
async function startOrClear(
  run: string,
  ...start: Parameters<typeof startSupervisor>
): Promise<Supervisor> {
  try {
    return await startSupervisor(...start)
  } catch (thrown) {
    if (QuiverError.from(thrown).reason !== 'NODE_RUNNING') await clearRunFolder(run)
    throw thrown
  }
}

async function end(supervisor: Supervisor): Promise<void> {
  // A detached supervisor keeps nobody alive who waits for it.
  const awake = setInterval(() => {}, 1000)
  supervisor.kill('SIGTERM')
  await supervisor.exited
  clearInterval(awake)
}

async function claimIds({ data, uid }: NodeConfig): Promise<Ids> {
  const { first, size } = await claimUidRange(data, uid.base, uid.size)
  const tasks = first + DATA_PLANE_UIDS
  return { proxy: first, egress: first + 1, tasks, tasksMax: size - DATA_PLANE_UIDS }
}

function listeners({ listen, run }: NodeConfig, ids: Ids | undefined): readonly Listener[] {
  const ownGid = process.getgid?.() ?? 0
  const dataPlaneGid = ids?.egress ?? ownGid
  const socket = (name: string, mode: number, gid: number): Listener => ({
    kind: 'unix',
    name,
    path: path.join(run, `${name}.sock`),
    mode,
    gid,
  })
  return [
    { kind: 'tcp', name: 'http', ...listen.http },
    ...(listen.https === null ? [] : [{ kind: 'tcp', name: 'https', ...listen.https } as const]),
    ...(listen.api === null ? [] : [{ kind: 'tcp', name: 'api-tcp', ...listen.api } as const]),
    socket('api', 0o600, ownGid),
    socket('link', 0o660, dataPlaneGid),
    socket('tunnel', 0o660, dataPlaneGid),
    // Instances hold its folder open without seeing the path: being handed it is the permission.
    {
      kind: 'seqpacket',
      name: 'egress',
      path: path.join(run, 'e', 'egress.sock'),
      mode: 0o666,
      gid: ownGid,
    },
    // The same for executors of WebAssembly, which speak for many instances, each with its own token.
    {
      kind: 'unix',
      name: 'executors',
      path: path.join(run, 'e', 'executors.sock'),
      mode: 0o666,
      gid: ownGid,
    },
  ]
}

async function processes(
  config: NodeConfig,
  settings: readonly Setting[],
  ids: Ids | undefined,
): Promise<readonly SupervisedProcess[]> {
  const { listen, run } = config
  const control: ControlConfig = {
    dataFolder: config.data,
    runFolder: run,
    packageRoot: PACKAGE_ROOT,
    uidBase: ids?.tasks ?? null,
    tasksMax: config.limits.tasks,
    uidsMax: ids?.tasksMax ?? null,
    instancesMax: config.limits.instances,
    proxyGid: ids?.proxy ?? null,
    bridge: bridgeSettings(config),
    domain: config.domain,
    apiHosts: [],
    hasApiTcp: listen.api !== null,
    entries: settings.map(viewSetting),
  }
  const tls = listen.https === null ? {} : { tls: await certificate(config) }
  const proxy: ProxyConfig = {
    run,
    ...tls,
    // The group of the link and the tunnel comes second: streams into instances are for the proxy alone.
    ...(ids === undefined ? {} : { uid: ids.proxy, gid: ids.proxy, groups: [ids.egress] }),
  }
  const egress: EgressConfig = {
    run,
    ...(ids === undefined ? {} : { uid: ids.egress, gid: ids.egress }),
  }
  return [
    {
      name: 'control',
      args: program('control', control),
      sockets: ['api', 'link', ...(listen.api === null ? [] : ['api-tcp'])],
    },
    {
      name: 'egress',
      args: program('egress', egress),
      env: { UV_THREADPOOL_SIZE: LOOKUP_THREADS },
      sockets: ['egress', 'executors'],
    },
    {
      name: 'proxy',
      args: program('proxy', proxy),
      sockets: ['http', ...(listen.https === null ? [] : ['https']), 'tunnel'],
    },
  ]
}

function bridgeSettings({ bridge }: NodeConfig): BridgeSettings {
  const { name = null, subnet, range = subnet, gateway = null } = bridge
  return { name, subnet, range, gateway }
}

/** The same Node.js, the same kind of source as this file: TypeScript in a checkout, JavaScript in a package. */
function program(name: string, config: object): readonly string[] {
  const script = path.join(import.meta.dirname, `${name}${path.extname(import.meta.filename)}`)
  const options = ['--disable-warning=ExperimentalWarning', ...HEAP_OPTIONS]
  return [process.execPath, ...options, script, JSON.stringify(config)]
}

async function certificate({ tls, data }: NodeConfig): Promise<{ key: string; cert: string }> {
  if (tls.certificate !== undefined && tls.key !== undefined) {
    const files = { key: tls.key, cert: tls.certificate }
    await assertUsable(files)
    return files
  }
  return await ensureSelfSigned(path.join(data, 'tls'))
}

function viewSetting({ name, value, source }: Setting): ConfigView['entries'][number] {
  const kind = sourceKind(source)
  return {
    key: name,
    value: JSON.stringify(value),
    source: kind,
    origin: kind === 'default' ? null : source,
  }
}

function sourceKind(source: string): ConfigView['entries'][number]['source'] {
  if (source === 'default') return 'default'
  if (source.startsWith('--')) return 'flag'
  return source.startsWith('QUIVER_') ? 'environment' : 'file'
}
