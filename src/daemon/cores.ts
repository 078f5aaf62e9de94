/** Core dumps as the node keeps them: where, who is told, and that they go with their task. */

import path from 'node:path'

import { Cores, type Core } from '../drivers/cores.ts'
import type { EventLog } from '../scheduler/events.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'

import { buildLog } from './process.ts'

const log = buildLog('control')

export async function openCores(dataFolder: string, events: EventLog): Promise<Cores> {
  const cores = await Cores.open({
    folder: path.join(dataFolder, 'cores'),
    onStored: (core) => emitStored(core, events),
    onFailure: (error) => log(`a core dump is lost: ${error.message}`),
  })
  events.subscribe(({ type, task }) => {
    if (type !== 'removed' || task === null) return
    const fail = (thrown: unknown) => log(`core dumps of ${task} stay: ${String(thrown)}`)
    cores.removeTask(task).catch(fail)
  })
  return cores
}

/** Of tasks whose removal was told to nobody. */
export async function removeOldCores(cores: Cores, { registry }: Scheduler): Promise<void> {
  try {
    await cores.removeOthers((task) => registry.get(task) !== undefined)
  } catch (thrown) {
    log(`core dumps of removed tasks stay: ${String(thrown)}`)
  }
}

function emitStored(core: Core, events: EventLog): void {
  const { task, revision, instance, number, signal, isTruncated } = core
  const end = isTruncated ? ', and limits.core cut it off' : ''
  const message = `a process of ${instance} ended by signal ${signal ?? 'unknown'}: core dump ${number} is kept${end}`
  events.emit({ type: 'coreStored', task, revision, instance, reason: `SIGNAL_${signal}`, message })
}
