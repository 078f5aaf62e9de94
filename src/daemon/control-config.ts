/** What `quiver up` tells the control process; resolved, so that control decides nothing about where things are. */

import type { ConfigView } from '../api/resources.ts'
import type { BridgeSettings } from '../drivers/bridge.ts'

export interface ControlConfig {
  readonly dataFolder: string
  readonly runFolder: string
  /** Holds `recipes/` and `native/build/`. */
  readonly packageRoot: string
  /** First uid for tasks; null: not root, everything runs as this user. */
  readonly uidBase: number | null
  readonly tasksMax: number
  /** How many uids there are for tasks; null: not root. */
  readonly uidsMax: number | null
  readonly instancesMax: number
  /** May open streams to instances. */
  readonly proxyGid: number | null
  readonly bridge: BridgeSettings
  /** Under which tasks get their default routes: `<task>.<domain>`. */
  readonly domain: string
  /** Names of this node that the API answers to on TCP, beside localhost and addresses. */
  readonly apiHosts: readonly string[]
  /** Whether the supervisor hands over the socket `api-tcp`. */
  readonly hasApiTcp: boolean
  /** The effective configuration with its sources, for `quiver config print`. */
  readonly entries: ConfigView['entries']
}
