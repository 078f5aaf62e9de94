/** Routes of the node itself. */

import type { Handlers } from './handler.ts'

export const nodeHandlers: Handlers<
  'health' | 'node' | 'configuration' | 'top' | 'metrics' | 'events'
> = {
  health: (service) => service.health(),
  node: (service) => service.node(),
  configuration: (service) => service.configuration(),
  top: (service) => service.top(),
  metrics: (service) => service.metrics(),
  events: (service, { query, signal }) => service.events(query, signal),
}
