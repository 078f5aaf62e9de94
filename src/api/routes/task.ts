/** Routes of tasks and of services, which are tasks as others see them. */

import type { Handlers } from './handler.ts'

export const taskHandlers: Handlers<
  | 'listTasks'
  | 'deploy'
  | 'difference'
  | 'getTask'
  | 'removeTask'
  | 'promote'
  | 'rollback'
  | 'scale'
  | 'stopTask'
  | 'startTask'
  | 'restartTask'
  | 'listServices'
  | 'getService'
> = {
  listTasks: (service) => service.listTasks(),
  deploy: (service, { body, signal }) => service.deploy(body, signal),
  difference: (service, { body }) => service.difference(body),
  getTask: (service, { params }) => service.getTask(params.name),
  removeTask: async (service, { params, signal }) => {
    await service.removeTask(params.name, signal)
    return null
  },
  promote: (service, { params, signal }) => service.promote(params.name, signal),
  rollback: (service, { params, body, signal }) =>
    service.rollback(params.name, body.revision, signal),
  scale: (service, { params, body, signal }) => service.scale(params.name, body.instances, signal),
  stopTask: (service, { params, signal }) => service.stopTask(params.name, signal),
  startTask: (service, { params, signal }) => service.startTask(params.name, signal),
  restartTask: (service, { params, signal }) => service.restartTask(params.name, signal),
  listServices: (service) => service.listServices(),
  getService: (service, { params, query, signal }) =>
    service.getService(params.name, query.waitMs ?? 0, signal),
}
