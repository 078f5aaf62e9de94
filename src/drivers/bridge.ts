/**
 * The bridge of a node: instances that have an address of their own on it, beside one another. What connects a process is
 * here, whatever encloses it; who gets which address, the scheduler says.
 */

import type { Subnet } from '../core/ipv4.ts'

import type { InstancePlan } from './driver.ts'

export { openBridge, type Bridge, type Connection } from './bridge/bridge.ts'
export { bridgeRecords } from './bridge/records.ts'

/** What the operator chose. */
export interface BridgeSettings {
  /** One that the machine has; null: a switch of the node's own, on which nobody else is. */
  readonly name: string | null
  readonly subnet: Subnet
  /** Within the subnet: where addresses are chosen from. */
  readonly range: Subnet
  /** The way out; null: none. */
  readonly gateway: number | null
}

/** What the scheduler needs to know of it. */
export interface NodeBridge extends BridgeSettings {
  /**
   * Whether instances can be connected.
   *
   * @throws QuiverError `permission_denied/BRIDGE_NEEDS_ROOT`, `failed_precondition/SUBNET_TAKEN`,
   *   `failed_precondition/BRIDGE_MISSING`
   */
  check(): Promise<void>

  /** How many packets an instance has sent: where nobody else sees that it is busy. 0: it is not on the bridge. */
  packetsFrom(plan: InstancePlan): Promise<number>
}
