/** What a module imports from other tasks: each import becomes a connection, and the callee must be there and have the export. */

import { QuiverError } from '../core/error.ts'
import { nearestName } from '../core/name.ts'
import { reachesDeclared, type Connection, type TaskSpec } from '../core/task.ts'
import type { ModuleInspection } from '../drivers/module-plan.ts'

import type { TaskRegistry } from './registry.ts'

type Link = ModuleInspection['links'][number]

export interface LinkHost {
  readonly registry: Pick<TaskRegistry, 'get'>
  /** Null: the task is no module, and answers calls as it likes. */
  readonly inspectTask: (task: string) => Promise<ModuleInspection | null>
}

/** Where the callee is found inside; nothing else of the module uses it. */
const LINK_PORT = 80

/**
 * A callee is reached under the name that is imported: a connection of that name may lead it to another task.
 *
 * @returns the specification, with a connection for each callee that has none
 * @throws QuiverError `failed_precondition/LINK_MISSING`, `failed_precondition/LINK_EXPORT_MISSING`, `invalid_argument/LINK_CYCLE`,
 *   `invalid_argument/SPEC_UNSUPPORTED`
 */
export async function connectLinks(
  spec: TaskSpec,
  links: readonly Link[],
  { registry, inspectTask }: LinkHost,
): Promise<TaskSpec> {
  if (links.length === 0) return spec
  if (!reachesDeclared(spec)) throw noNetwork(spec)
  const added: Connection[] = []
  for (const name of new Set(links.map(({ task }) => task))) {
    const declared = spec.connect.find(({ as, kind }) => as === name && kind === 'http')
    const task = declared?.task ?? name
    if (task === spec.name) throw linkToItself(spec.name)
    if (registry.get(task)?.kind !== 'service') throw linkMissing(spec.name, task)
    const callee = await inspectTask(task)
    if (callee !== null) {
      for (const link of links)
        if (link.task === name) assertExported(spec.name, task, link, callee)
    }
    if (declared === undefined) added.push({ task, as: name, port: LINK_PORT, kind: 'http' })
  }
  return added.length === 0 ? spec : { ...spec, connect: [...spec.connect, ...added] }
}

function assertExported(
  caller: string,
  task: string,
  link: Link,
  { exports, exportCount }: ModuleInspection,
): void {
  const found = exports.find(({ name }) => name === link.function)
  if (found?.signature === link.signature) return
  // Of a module with very many exports only the first are known.
  if (found === undefined && exportCount > exports.length) return
  const wanted = `${link.function}${link.signature}`
  const message =
    found === undefined
      ? `${caller} imports ${wanted} from the task "${task}", which does not export it`
      : `${caller} imports ${wanted} from the task "${task}", where it is ${found.name}${found.signature}`
  const names = exports.map(({ name }) => name)
  const nearest = found === undefined ? nearestName(link.function, names) : undefined
  throw new QuiverError('failed_precondition', 'LINK_EXPORT_MISSING', message, {
    hint:
      nearest === undefined
        ? `Deploy a ${task} that has it first, or build ${caller} for the one that is deployed.`
        : `Did you mean "${nearest}"?`,
  })
}

function linkMissing(name: string, task: string): QuiverError {
  const message = `${name} imports from the task "${task}", which is not deployed`
  return new QuiverError('failed_precondition', 'LINK_MISSING', message, {
    hint: `Deploy ${task} first; or let [[connect]] with as = "${task}" lead to another task.`,
  })
}

function linkToItself(name: string): QuiverError {
  const message = `${name} imports from the task "${name}", which is itself`
  return new QuiverError('invalid_argument', 'LINK_CYCLE', message, {
    hint: 'Deploy it under another name, or build it without that import.',
  })
}

function noNetwork({ name, network }: TaskSpec): QuiverError {
  const message = `${name} imports from other tasks, and has network = "${network}"`
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, {
    hint: 'Leave out network: what it imports is all that it reaches then.',
  })
}
