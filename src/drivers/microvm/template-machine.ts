/**
 * A machine that runs only to be saved: in the folder of a draft, with sockets and a control group of its own. Nobody's instance; the
 * next control process ends one that a killed one left, by its control group's name.
 */

import { randomBytes } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'

import {
  launch,
  type InstanceCgroup,
  type Limits,
  type ProcessHost,
  type Records,
} from '../process.ts'

import type { Hypervisor } from './machine.ts'
import type { Draft, SavableMachine } from './templates.ts'

export interface TemplateHost {
  readonly host: ProcessHost
  /** Of the driver: a control group for a machine that is saved. */
  readonly group: (id: string) => InstanceCgroup
}

export interface TemplatePlace {
  readonly id: string
  readonly folder: string
  /** Prefix of its sockets. */
  readonly socket: string
  readonly cgroup: InstanceCgroup
}

export interface TemplateRun {
  readonly limits: Limits
  readonly hypervisor: Hypervisor
  /** What `ainit launch` is told. */
  plan(place: TemplatePlace): Promise<Records>
  /** Resolves when the machine is where it is to be saved, and stands still until that is disposed. */
  stand(place: TemplatePlace): Promise<Disposable>
}

/** @throws what `run` throws; QuiverError as `launch` and `Hypervisor.connect`. Nothing of it is left then */
export async function startTemplateMachine(
  { host, group }: TemplateHost,
  { memoryFile }: Draft,
  run: TemplateRun,
): Promise<SavableMachine> {
  const folder = path.join(path.dirname(memoryFile), 'run')
  const id = `template-0-${randomBytes(6).toString('hex')}`
  const place = { id, folder, socket: path.join(host.socketFolder, id), cgroup: group(id) }
  await mkdir(folder, { mode: 0o711 })
  const records = await run.plan(place)
  place.cgroup.create(run.limits)
  const launched = launch(host.ainitPath, folder, records)
  using still = new DisposableStack()
  const ended = launched.ended.then(() => clear(place))
  const kill = () => void place.cgroup.kill()
  try {
    await launched.bound
    still.use(await run.stand(place))
    const control = await run.hypervisor.connect(`${place.socket}.q`)
    const held = still.move()
    return { control, ended: ended.finally(() => held.dispose()), kill }
  } catch (thrown) {
    launched.kill()
    kill()
    await ended
    throw thrown
  }
}

async function clear({ cgroup, socket, folder }: TemplatePlace): Promise<void> {
  await cgroup.kill()
  await cgroup.remove()
  for (const suffix of ['.c', '.p', '.q']) await rm(`${socket}${suffix}`, { force: true })
  await rm(folder, { recursive: true, force: true })
}
