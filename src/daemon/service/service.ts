/** The control service: what the API's routes call, put together from its nouns; and the data plane's reports. */

import type { ControlService } from '../../api/service.ts'
import type { FromEgress, FromProxy } from '../../core/link.ts'

import { buildImageControl } from './images.ts'
import { buildInstanceControl } from './instances.ts'
import { buildNodeControl } from './node.ts'
import type { ServiceParts } from './parts.ts'
import { buildTaskControl } from './tasks.ts'

export function buildControlService(parts: ServiceParts): ControlService {
  return {
    ...buildTaskControl(parts),
    ...buildInstanceControl(parts),
    ...buildImageControl(parts),
    ...buildNodeControl(parts),
  }
}

/** What the proxy says, brought to the controller of the task it is about. */
export function handleProxy(
  message: FromProxy,
  { scheduler, events }: Pick<ServiceParts, 'scheduler' | 'events'>,
): void {
  if (message.type === 'wake') {
    const { task, revision, waiting, inFlight } = message
    if (scheduler.registry.get(task) !== undefined)
      scheduler.controller(task).wake(revision, waiting, inFlight)
  }
  if (message.type === 'activity') {
    for (const activity of message.instances) {
      scheduler.controllerOf(activity.instance)?.observe(activity)
    }
  }
  if (message.type === 'firstByte') {
    const { instance, queueMs, atNs } = message
    scheduler.controllerOf(instance)?.firstByte(instance, queueMs, atNs)
  }
  if (message.type === 'suspect') {
    const { instance, message: text } = message
    scheduler.controllerOf(instance)?.suspect(instance, text)
  }
  if (message.type === 'publishFailed') {
    const { task, address, hostPort, message: text } = message
    events.emit({ type: 'publishFailed', task, message: `${address}:${hostPort}: ${text}` })
  }
}

export function handleEgress(
  message: FromEgress,
  { scheduler, events }: Pick<ServiceParts, 'scheduler' | 'events'>,
): void {
  if (message.type !== 'denied') return
  const { instance, target, reason } = message
  events.emit({
    type: 'egressDenied',
    task: scheduler.controllerOf(instance)?.name ?? null,
    instance,
    reason,
    message: `${instance} was denied ${target}: ${reason}`,
  })
}
