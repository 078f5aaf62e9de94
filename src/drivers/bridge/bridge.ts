/**
 * The bridge of a node (../bridge.ts): made when the first instance needs it. Nothing of it has to be removed: the switch is a
 * network namespace that whoever is connected has open, and an instance's interface goes with the instance.
 */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { QuiverError } from '../../core/error.ts'
import type { BridgeSettings, NodeBridge } from '../bridge.ts'
import type { BridgeInterface, InstancePlan } from '../driver.ts'

import { closeSwitch, makeSwitch, runBridge, SWITCH } from './command.ts'
import { findSwitch } from './found.ts'
import { NameList } from './names.ts'
import { Ports } from './ports.ts'
import { assertUnrouted, readRoutes } from './routes.ts'

export interface BridgeHost {
  readonly settings: BridgeSettings
  readonly ainitPath: string
  /** Holds the list of names, and nothing else. */
  readonly namesFolder: string
  readonly isRoot: boolean
}

/** How a process is connected: by `ainit launch`, or by whatever else makes the port. */
export interface Connection {
  readonly interface: BridgeInterface
  /** Name of the port, the end outside. */
  readonly port: string
  /** What it is to be connected to; null: nothing yet, as somebody else still has the address. */
  readonly bridge: string | null
  /** The network namespace that the bridge is in; null: the one of this process. */
  readonly switchPath: string | null
  readonly gateway: number | null
  readonly namesFolder: string
}

/** In the folder of an instance that waits for its address. */
const WAITING = 'waiting'
/** Names of interfaces end at 15 bytes. */
const PORT_DIGITS = 12
const OWN_NAMESPACE = '/proc/self/ns/net'

export function openBridge(host: BridgeHost): Bridge {
  return new Bridge(host)
}

interface Member {
  readonly plan: InstancePlan
  readonly interface: BridgeInterface
  readonly folder: string
  isAnnounced: boolean
}

export class Bridge implements NodeBridge {
  readonly #host: BridgeHost
  readonly #names: NameList
  readonly #ports = new Ports()
  readonly #members = new Map<string, Member>()
  #switch: Promise<number> | undefined

  constructor(host: BridgeHost) {
    this.#host = host
    this.#names = new NameList(host.namesFolder)
  }

  get name(): string | null {
    return this.#host.settings.name
  }

  get subnet(): BridgeSettings['subnet'] {
    return this.#host.settings.subnet
  }

  get range(): BridgeSettings['range'] {
    return this.#host.settings.range
  }

  get gateway(): number | null {
    return this.#host.settings.gateway
  }

  async check(): Promise<void> {
    if (!this.#host.isRoot) throw needsRoot()
    const { name, subnet } = this.#host.settings
    assertUnrouted(subnet, await readRoutes(), name)
    await this.#assertThere()
  }

  /**
   * Before the launch; `leave` when it has ended, or was not launched.
   *
   * @param folder  of the instance
   * @throws QuiverError `failed_precondition/BRIDGE_MISSING`, `failed_precondition/START_FAILED`
   * @returns undefined when the instance is not on the bridge
   */
  async join(plan: InstancePlan, folder: string): Promise<Connection | undefined> {
    if (plan.bridge === undefined) return undefined
    this.#add(plan, plan.bridge, folder)
    await this.#names.write(this.#announced())
    await this.#assertThere()
    const descriptor = await this.#openSwitch()
    const isWaiting = !this.#ports.has(plan.bridge.address, plan.id)
    if (isWaiting) await writeFile(path.join(folder, WAITING), '', { mode: 0o600 })
    return {
      interface: plan.bridge,
      port: portOf(plan),
      bridge: isWaiting ? null : (this.name ?? SWITCH),
      switchPath: descriptor === null ? null : `/proc/${process.pid}/fd/${descriptor}`,
      gateway: this.gateway,
      namesFolder: this.#host.namesFolder,
    }
  }

  /** Takes over one that an earlier control process has connected. Call `adopted` when all are known. */
  adopt(plan: InstancePlan, folder: string, isRunning: boolean): void {
    if (plan.bridge === undefined) return
    this.#add(plan, plan.bridge, folder).isAnnounced = isRunning
  }

  /** Once for each driver. */
  async adopted(): Promise<void> {
    if (this.#members.size === 0) return
    if (this.name === null && this.#switch === undefined) {
      const found = await findSwitch([...this.#members.values()].map(({ folder }) => folder))
      if (found !== undefined) this.#switch = Promise.resolve(found)
    }
    // Those whose predecessor has gone while nobody looked.
    for (const member of this.#members.values()) await this.#plugIfDue(member)
    await this.#names.write(this.#announced())
  }

  /** It runs: it can be found by its names from now on. */
  async announce({ id }: InstancePlan): Promise<void> {
    const member = this.#members.get(id)
    if (member === undefined || member.isAnnounced) return
    member.isAnnounced = true
    // Its predecessor may have gone before there was anything to connect.
    await this.#plugIfDue(member)
    await this.#names.write(this.#announced())
  }

  /** It has ended: whoever waits for its address has it now. May be called again. */
  async leave(plan: InstancePlan): Promise<void> {
    const member = this.#members.get(plan.id)
    if (member === undefined) return
    this.#members.delete(plan.id)
    const next = this.#ports.leave(member.interface.address, plan.id)
    const successor = next === undefined ? undefined : this.#members.get(next)
    if (successor !== undefined) {
      // Its interface goes with it, though not at once: until then both would say that they have the address.
      await this.#run('unplug', portOf(plan))
      await this.#plugIfDue(successor)
    }
    await this.#names.write(this.#announced())
    if (this.#members.size === 0) await this.#closeSwitch()
  }

  async packetsFrom(plan: InstancePlan): Promise<number> {
    if (!this.#members.has(plan.id)) return 0
    const printed = await runBridge(this.#host.ainitPath, 'show', await this.#namespace())
    const line = printed.split('\n').find((one) => one.trim().startsWith(`${portOf(plan)}:`)) ?? ''
    // Received by the port is sent by the instance: bytes, then packets.
    const [, , packets = '0'] = line.trim().split(/\s+/)
    return Number(packets)
  }

  /** A bridge of the machine is its operator's, who may have removed it since a task was deployed. */
  async #assertThere(): Promise<void> {
    const { name } = this
    if (name === null) return
    await runBridge(this.#host.ainitPath, 'find', name).catch((cause: unknown) => {
      throw bridgeMissing(name, cause)
    })
  }

  #add(plan: InstancePlan, own: BridgeInterface, folder: string): Member {
    const member = { plan, interface: own, folder, isAnnounced: false }
    this.#members.set(plan.id, member)
    this.#ports.enter(own.address, plan.id)
    return member
  }

  /** Connects one that was launched while another had its address. */
  async #plugIfDue({ plan, interface: own, folder }: Member): Promise<void> {
    const waiting = path.join(folder, WAITING)
    if (!this.#ports.has(own.address, plan.id) || !existsSync(waiting)) return
    if (await this.#run('plug', this.name ?? SWITCH, portOf(plan), own.mac))
      await rm(waiting, { force: true })
  }

  /** False when it failed: the instance has ended meanwhile, or has no interface yet. */
  async #run(command: string, ...args: readonly string[]): Promise<boolean> {
    return await runBridge(this.#host.ainitPath, command, await this.#namespace(), ...args).then(
      () => true,
      () => false,
    )
  }

  *#announced(): Iterable<InstancePlan> {
    for (const { plan, isAnnounced, interface: own } of this.#members.values()) {
      if (isAnnounced && this.#ports.has(own.address, plan.id)) yield plan
    }
  }

  async #namespace(): Promise<string> {
    const descriptor = await this.#openSwitch()
    return descriptor === null ? OWN_NAMESPACE : `/proc/${process.pid}/fd/${descriptor}`
  }

  /** @returns its descriptor; null: the bridge is the operator's, where this process is */
  async #openSwitch(): Promise<number | null> {
    if (this.name !== null) return null
    this.#switch ??= makeSwitch(this.#host.ainitPath).catch((thrown: unknown) => {
      this.#switch = undefined
      throw thrown
    })
    return await this.#switch
  }

  async #closeSwitch(): Promise<void> {
    const opened = this.#switch
    this.#switch = undefined
    if (opened !== undefined) closeSwitch(await opened)
  }
}

function portOf({ id }: InstancePlan): string {
  return `q${createHash('sha256').update(id).digest('hex').slice(0, PORT_DIGITS)}`
}

function needsRoot(): QuiverError {
  const message = 'only a node that runs as root can connect instances to a bridge'
  return new QuiverError('permission_denied', 'BRIDGE_NEEDS_ROOT', message, {
    hint: 'Run the node as root, or use network = "private" with [[connect]].',
  })
}

function bridgeMissing(name: string, cause: unknown): QuiverError {
  const message = `this machine has no bridge "${name}", which bridge.name in node.toml says`
  return new QuiverError('failed_precondition', 'BRIDGE_MISSING', message, {
    cause,
    hint: `Make it with "ip link add ${name} type bridge", or leave bridge.name out.`,
  })
}
