/** From an instance plan to what an executor is told, by whichever driver it runs. */

import { SCRIPT_INPUT, WASM_DEFAULTS, type TaskSpec } from '../core/task.ts'
import type {
  Inspection,
  ModuleDemand,
  ModulePlan,
  OutsidePlan,
  ScriptSource,
  SharedFolder,
} from '../executor/protocol.ts'

import type { InstancePlan, Mount } from './driver.ts'

export type { Inspection as ModuleInspection, ModuleDemand } from '../executor/protocol.ts'

/**
 * Reads a module in a sandbox, never in this process.
 *
 * @param file    absolute
 * @param demand  null: it is only described
 * @throws QuiverError that says what is wrong with the module, or why it could not be read
 */
export type InspectModule = (
  file: string,
  demand: ModuleDemand | null,
  script: ScriptFile | null,
) => Promise<Inspection>

/** What a JavaScript engine is to run. */
export interface ScriptFile {
  /** Absolute. */
  readonly path: string
  /** In the image, for messages. */
  readonly name: string
}

/** Where the script of an instance is; null: it has none. */
export function findScript({ spec, imageTree }: InstancePlan): ScriptFile | null {
  const name = spec.wasm?.script ?? null
  if (name === null || name === SCRIPT_INPUT) return null
  return { path: `${imageTree}/${name}`, name }
}

/** Prefix of the guest's variables: the executor's own environment is that of Node.js, and no guest's. */
const GUEST = 'GUEST_'
/** What an executor needs beside the memory of its module, which is what the limit is about. */
const EXECUTOR_BYTES = 128 * 1024 * 1024
/** Below a temporary folder of the sandbox: mount points can be made there, whatever the guest calls them. */
const FOLDERS = '/run/folders'

/** Where an executor's tree is, and what is in it. */
export interface ExecutorTree {
  readonly path: string
  /** The program, its first argument, and the file over which a module is mounted; absolute inside. */
  readonly entry: string
  readonly main: string
  readonly modulePath: string
}

/** @param egressPath  where the executor asks for connections; null: it is the module's own, in a sandbox with names */
export function buildModulePlan(
  { task, spec, env, token }: InstancePlan,
  egressPath: string | null,
  script: ScriptSource | null,
): ModulePlan {
  const { stdout, entry, isReused, cpuTimeMs, outputBytes, hostCalls } = spec.wasm ?? WASM_DEFAULTS
  const { limits } = spec
  const isPrivate = spec.network === 'private'
  return {
    task,
    args: spec.args,
    argv0: spec.argv0 ?? task,
    env,
    stdout,
    entry,
    isReused,
    script,
    limits: {
      memoryBytes: limits.memoryBytes,
      cpuTimeMs,
      cpuMillis: limits.cpuMillis,
      requestTimeoutMs: limits.requestTimeoutMs,
      outputBytes,
      inputBytes: limits.bodyBytes ?? limits.memoryBytes,
      files: limits.files,
      hostCalls,
    },
    outside: {
      egress: egressPath === null ? null : { path: egressPath, token },
      hosts: isPrivate ? spec.allow.map(({ host, port }) => ({ host, port })) : [],
      tasks: isPrivate ? listTasks(spec) : [],
    },
  }
}

function listTasks({ connect }: TaskSpec): OutsidePlan['tasks'] {
  return connect
    .filter(({ kind }) => kind === 'http')
    .map(({ as, port, task }) => ({ name: as, port, task }))
}

/**
 * The plan of a module as that of a process: an executor that runs this module alone, in whatever isolation the process has.
 * A run is a command with its stdio; everything else answers HTTP on the declared port. Mounts of the module are folders that only a
 * run sees, each under its target; for the process they are elsewhere.
 */
export function planExecutor(plan: InstancePlan, executor: ExecutorTree): InstancePlan {
  const { spec } = plan
  const mode = plan.isRun || spec.http === null ? 'run' : 'serve'
  const module = { ...buildModulePlan(plan, null, null), env: {} }
  const script = placeScript(spec)
  const port = spec.http?.port ?? 0
  const shared = plan.mounts.map((mount, index) => shareFolder(mount, `${FOLDERS}/${index}`))
  const folders = shared.map(({ folder }) => folder)
  const argument = JSON.stringify({ module, port, path: executor.modulePath, script, folders })
  const env = Object.entries(plan.env).map(([name, value]) => [`${GUEST}${name}`, value] as const)
  return {
    ...plan,
    binaryTree: executor.path,
    entry: executor.entry,
    mounts: [
      { source: `${plan.binaryTree}${plan.entry}`, target: executor.modulePath, isWritable: false },
      ...shared.map(({ mount }) => mount),
    ],
    env: Object.fromEntries(env),
    spec: {
      ...spec,
      limits: { ...spec.limits, memoryBytes: spec.limits.memoryBytes + EXECUTOR_BYTES },
      argv0: null,
      workdir: '/app',
      args: [executor.main, mode, argument],
    },
  }
}

function shareFolder(
  { source, target, isWritable }: Mount,
  inside: string,
): { readonly mount: Mount; readonly folder: SharedFolder } {
  return {
    mount: { source, target: inside, isWritable },
    folder: { name: target, path: inside, isWritable },
  }
}

/** Where a process finds its script: its text would be too long for an argument. */
function placeScript({ wasm }: TaskSpec): { path: string | null; name: string } | null {
  const name = wasm?.script ?? null
  if (name === null) return null
  return { path: name === SCRIPT_INPUT ? null : `/app/${name}`, name }
}
