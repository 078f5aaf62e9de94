/**
 * `node:http` and `node:https` as the whole of Quiver takes them. An `import` of `node:http` reads everything that it
 * exports, and so loads its WebSocket client, which nobody here uses: 5 MiB and 35 ms of start in every process that does.
 *
 * Types are imported from `node:http` itself: they cost nothing.
 */

import type * as Https from 'node:https'

export const http = process.getBuiltinModule('node:http')

/** Loads TLS, which is another 3 MiB: to be called where it is needed. */
export function loadHttps(): typeof Https {
  return process.getBuiltinModule('node:https')
}
