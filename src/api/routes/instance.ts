/** Routes of instances, runs and logs. Sessions are not here: they leave HTTP (`session.ts`). */

import type { Handlers } from './handler.ts'

export const instanceHandlers: Handlers<
  | 'listInstances'
  | 'getInstance'
  | 'signalInstance'
  | 'invoke'
  | 'createRun'
  | 'runSnippet'
  | 'logs'
  | 'listCores'
  | 'readCore'
  | 'removeCore'
> = {
  listInstances: (service, { query }) => service.listInstances(query.task),
  getInstance: (service, { params }) => service.getInstance(params.id),
  signalInstance: async (service, { params, body }) => {
    await service.signalInstance(params.id, body.signal)
    return null
  },
  invoke: (service, { params, body, signal }) => service.invoke(params.name, body, signal),
  createRun: (service, { body, signal }) => service.createRun(body, signal),
  runSnippet: (service, { body, signal }) => service.runSnippet(body, signal),
  listCores: (service, { query }) => service.listCores(query.task),
  readCore: (service, { params }) => service.readCore(params.task, params.number),
  removeCore: async (service, { params }) => {
    await service.removeCore(params.task, params.number)
    return null
  },
  logs: (service, { params, query, signal }) => service.logs(params.target, query, signal),
}
