/** `stop`, `start`, `restart`, `promote`, `rollback`, `scale`, `rm`: one call each, then how the task is. */

import type { TaskDetail } from '../../../client/resources.ts'
import type { CliContext } from '../../context.ts'
import { forEach } from '../../each.ts'
import { formatCount, formatTraffic } from '../../format.ts'
import { printJson, say } from '../../print.ts'

interface Flags {
  readonly json: boolean
}

type Verb = 'stopTask' | 'startTask' | 'restartTask' | 'promote'

function change(verb: Verb, done: (task: TaskDetail) => string) {
  return async function apply(this: CliContext, flags: Flags, ...names: string[]): Promise<void> {
    using client = await this.openClient()
    await forEach(this, names, async (name) => {
      show(this, flags, await client.call(verb, { params: { name } }, this.signal), done)
    })
  }
}

export const stopTask = change('stopTask', ({ name }) => `${name} is stopped`)
export const startTask = change('startTask', (task) => `${task.name} is ${task.state}`)
export const restartTask = change('restartTask', ({ name }) => `${name} is restarted`)
export const promoteTask = change('promote', servedBy)

export async function rollbackTask(
  this: CliContext,
  flags: Flags,
  name: string,
  revision?: number,
): Promise<void> {
  using client = await this.openClient()
  const body = { revision: revision ?? null }
  show(
    this,
    flags,
    await client.call('rollback', { params: { name }, body }, this.signal),
    servedBy,
  )
}

export async function scaleTask(
  this: CliContext,
  flags: Flags,
  name: string,
  instances: number | null,
): Promise<void> {
  using client = await this.openClient()
  const input = { params: { name }, body: { instances } }
  show(this, flags, await client.call('scale', input, this.signal), (task) =>
    task.instancesWanted === null
      ? `${name} scales by itself`
      : `${name} has ${formatCount(task.instancesLive, 'instance')}`,
  )
}

export async function removeTask(
  this: CliContext,
  _flags: object,
  ...names: string[]
): Promise<void> {
  using client = await this.openClient()
  await forEach(this, names, async (name) => {
    await client.call('removeTask', { params: { name } }, this.signal)
    say(this, `${name} is removed`)
  })
}

function servedBy({ name, traffic }: TaskDetail): string {
  return `${name} is served by ${formatTraffic(traffic)}`
}

function show(
  context: CliContext,
  flags: Flags,
  task: TaskDetail,
  text: (task: TaskDetail) => string,
): void {
  if (flags.json) printJson(context, task)
  else say(context, text(task))
}
