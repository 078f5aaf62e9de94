/** The control service's core dumps: those that are kept, and those that live instances have just written. */

import type { InstanceControl } from '../../api/service.ts'

import type { ServiceParts } from './parts.ts'

type CoreControl = Pick<InstanceControl, 'listCores' | 'readCore' | 'removeCore'>

export function buildCoreControl(parts: ServiceParts): CoreControl {
  const { cores, scheduler } = parts
  return {
    listCores: async (task) => {
      const name = task === undefined ? undefined : scheduler.registry.require(task).name
      await takeNew(parts)
      return await cores.list(name)
    },
    readCore: (task, number) => cores.read(task, number),
    removeCore: (task, number) => cores.remove(task, number),
  }
}

/** A process that crashed and took nobody with it leaves its dump in the folder of an instance that goes on. */
async function takeNew({ cores, scheduler }: ServiceParts): Promise<void> {
  const all = [...scheduler.controllers].flatMap(({ instances }) => instances)
  const writing = all.filter(({ isLive, instance: { plan } }) => {
    return isLive && (plan.spec.limits.coreBytes ?? null) !== null
  })
  await Promise.all(
    writing.map(({ instance }) => cores.take(instance.plan, instance.folder, false)),
  )
  await cores.settled()
}
