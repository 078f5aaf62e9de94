/**
 * Everything that decides what runs: the operations that people ask for, on all tasks of a node.
 *
 * Each operation changes what is wanted (registry), then waits until what there is (controllers) has followed. One
 * operation at a time per task; requests never wait for one.
 */

import { QuiverError } from '../core/error.ts'
import type { Revision, Task, TaskSpec } from '../core/task.ts'
import type { NodeBridge } from '../drivers/bridge.ts'
import type { Driver, Instance, Mount, OpenStream, StdioPlan } from '../drivers/driver.ts'
import type { ExecutorTree, InspectModule } from '../drivers/module-plan.ts'
import type { ImageStore } from '../images/images.ts'
import type { Store } from '../store/store.ts'

import { AddressBook } from './addresses.ts'
import { Admission } from './admission.ts'
import { assertNoConflict } from './conflicts.ts'
import { TaskController } from './controller.ts'
import type { DataPlane } from './data-plane.ts'
import {
  deployRevision,
  dropCandidate,
  type Deployment,
  type DeploymentParts,
  type DeployOutcome,
} from './deployment.ts'
import { errorOf } from './endings.ts'
import type { EventLog } from './events.ts'
import type { ManagedInstance } from './managed.ts'
import { ModuleJudge } from './modules.ts'
import { taskOfInstance } from './planning.ts'
import { prune } from './prune.ts'
import { TaskRegistry } from './registry.ts'
import { revisionNotFound, rollbackTarget } from './rollback.ts'
import { buildTaskRoute } from './routes.ts'
import { Starter } from './starter.ts'
import { assertService, wantsInstances } from './tasks.ts'

export interface SchedulerParts {
  readonly store: Store
  readonly images: ImageStore
  readonly drivers: ReadonlyMap<string, Driver>
  readonly dataPlane: DataPlane
  readonly events: EventLog
  readonly openStream: OpenStream
  /** Of instances that have an address of their own. */
  readonly bridge: NodeBridge
  /** What runs WebAssembly in a process. */
  readonly executor: () => Promise<ExecutorTree>
  /** What judges it before it is deployed. */
  readonly inspectModule: InspectModule
  readonly tasksMax: number
  /** How many uids the node has for tasks; null: it needs none. */
  readonly uidsMax: number | null
  readonly instancesMax: number
}

/** When the node ends, for all instances at once: below the time that the supervisor gives to control. */
const NODE_STOP_MS = 8000

export class Scheduler implements AsyncDisposable {
  readonly registry: TaskRegistry
  /** Of WebAssembly, before it is deployed. */
  readonly modules: ModuleJudge
  readonly addresses: AddressBook
  readonly #parts: SchedulerParts
  readonly #starter: Starter
  readonly #admission: Admission
  readonly #controllers = new Map<string, TaskController>()
  readonly #queues = new Map<string, Promise<unknown>>()
  #isOpen = false
  #isClosed = false

  constructor(parts: SchedulerParts) {
    this.#parts = parts
    this.#admission = new Admission(parts.instancesMax)
    this.registry = new TaskRegistry(parts.store)
    this.addresses = new AddressBook(parts.bridge, this.registry)
    this.#starter = new Starter({ ...parts, addresses: this.addresses })
    this.modules = new ModuleJudge(parts.images, parts.inspectModule)
  }

  /** Loads what is wanted, then finds what is there. */
  async open(): Promise<void> {
    await this.registry.open((name, task) => this.#taskChanged(name, task))
    for (const task of this.registry.list()) {
      if (task.candidate !== null) await dropCandidate(task, this.registry)
      await this.addresses.renew(this.registry.require(task.name), this.registry)
    }
    for (const driver of this.#parts.drivers.values()) {
      for (const instance of await driver.adopt()) await this.#adopt(instance)
    }
    // All are found before any is missed.
    this.#isOpen = true
    prune(this.#parts.drivers, this.registry)
    for (const task of this.registry.list()) {
      // Those without a trace of an instance may still want some; the others are only routed.
      this.#taskChanged(task.name, task)
      this.#finishBegun(task)
    }
  }

  /** Made on first need: a task that sleeps costs its record and nothing else. */
  controller(name: string): TaskController {
    const existing = this.#controllers.get(name)
    if (existing !== undefined) return existing
    const controller = new TaskController(name, {
      registry: this.registry,
      starter: this.#starter,
      admission: this.#admission,
      dataPlane: this.#parts.dataPlane,
      events: this.#parts.events,
      bridge: this.#parts.bridge,
      isOpen: () => this.#isOpen,
    })
    this.#controllers.set(name, controller)
    return controller
  }

  /** The controller of a task, if it was ever needed. */
  findController(name: string): TaskController | undefined {
    return this.#controllers.get(name)
  }

  /** The controller that has or had the instance. */
  controllerOf(instance: string): TaskController | undefined {
    return this.#controllers.get(taskOfInstance(instance))
  }

  /** Controllers of tasks that have or had instances. */
  get controllers(): Iterable<TaskController> {
    return this.#controllers.values()
  }

  /** @throws QuiverError `not_found/INSTANCE_NOT_FOUND` */
  findInstance(id: string): ManagedInstance {
    const found = this.controllerOf(id)?.instances.find((managed) => managed.id === id)
    if (found !== undefined) return found
    throw new QuiverError('not_found', 'INSTANCE_NOT_FOUND', `there is no instance "${id}"`, {
      hint: 'See "quiver ps --instances" for those there are.',
    })
  }

  async deploy(deployment: Deployment): Promise<DeployOutcome> {
    return await this.#exclusively(deployment.spec.name, () =>
      deployRevision(deployment, this.#deploymentParts(deployment.spec.name)),
    )
  }

  /** Gives the newest revision that has traffic all of it. */
  async promote(name: string): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      const newest = Math.max(...task.traffic.map(({ revision }) => revision))
      await this.#switchTo(task, newest)
      this.#event('promoted', name, newest, `revision ${newest} of ${name} gets all requests`)
    })
  }

  /** @param number  null: the revision that was current before */
  async rollback(name: string, number: number | null): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      const target = number ?? rollbackTarget(task)
      if (!this.registry.revisions(name).has(target))
        throw revisionNotFound(name, target, this.registry)
      await this.#switchTo(task, target)
      this.#event('rolledBack', name, target, `${name} went back to revision ${target}`)
    })
  }

  /** @param instances  null: as `[scale]` says. Resolves when so many run. */
  async scale(name: string, instances: number | null, signal: AbortSignal): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      assertService(task, 'scaled')
      // Who wants instances wants it to run; who stopped it had another number in mind.
      const desired = instances === null || instances === 0 ? task.desired : 'on'
      using assigned = await this.addresses.assignTo(task, instances)
      await this.registry.save({ ...task, ...assigned.record, instances, desired })
      const wanted = instances ?? 'as many instances as it needs'
      this.#event('scaled', name, null, `${name} is to have ${wanted}`)
      if (instances === null) return
      const controller = this.controller(name)
      const errorBefore = controller.startError
      const isDone = () => controller.isScaledTo(instances)
      await controller.until(() => isDone() || controller.startError !== errorBefore, signal)
      if (!isDone() && controller.startError !== undefined) throw errorOf(controller.startError)
    })
  }

  async stop(name: string): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      await this.registry.save({ ...task, desired: 'stopped' })
      await this.controller(name).stopAll('STOPPED', this.#drainMs(task))
      this.#event('stopped', name, null, `${name} was stopped`)
    })
  }

  /** Undoes `stop`, and makes one instance ready. */
  async start(name: string, signal: AbortSignal): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      const instances = task.instances === 0 ? null : task.instances
      await this.registry.save({ ...task, desired: 'on', instances })
      const revision = this.registry.current(task)
      if (revision !== undefined) await this.controller(name).ensureReady(revision, signal)
      this.#event('started', name, null, `${name} was started`)
    })
  }

  async restart(name: string): Promise<void> {
    await this.#exclusively(name, async () => {
      const task = this.registry.require(name)
      const controller = this.controller(name)
      const revision = this.registry.current(task)
      if (task.kind === 'run') await controller.stopAll('REPLACED', this.#drainMs(task))
      if (task.kind === 'run' && revision !== undefined) await controller.makeReady(revision)
      else await controller.replaceAll()
      this.#event('restarted', name, null, `${name} was restarted`)
    })
  }

  async remove(name: string): Promise<void> {
    await this.#exclusively(name, () => this.#remove(name))
  }

  /**
   * Registers a run as a task of its own and prepares its instance.
   *
   * @param isRemovedAtEnd  the task goes when its instance has ended, also one that was never launched
   */
  async prepareRun(
    spec: TaskSpec,
    image: Revision['image'],
    options: {
      readonly stdio: StdioPlan
      readonly mounts: readonly Mount[]
      readonly isRemovedAtEnd: boolean
    },
  ): Promise<ManagedInstance> {
    const { stdio, mounts, isRemovedAtEnd } = options
    return await this.#exclusively(spec.name, async () => {
      const outcome = await deployRevision(
        { spec, image, trafficPercent: 100, kind: 'run', isRemovedAtEnd },
        this.#deploymentParts(spec.name),
      )
      try {
        const managed = await this.controller(spec.name).prepareRun(outcome.revision, stdio, mounts)
        if (isRemovedAtEnd) void this.#removeAtEnd(spec.name)
        return managed
      } catch (thrown) {
        await this.#remove(spec.name)
        throw thrown
      }
    })
  }

  /** The node ends: so do all instances. What is wanted stays as it is, for the next start. */
  async stopEverything(): Promise<void> {
    const controllers = [...this.#controllers.values()]
    this.#isOpen = false
    await Promise.all(
      controllers.map((controller) => {
        const task = this.registry.get(controller.name)
        const drainMs = task === undefined ? 0 : Math.min(this.#drainMs(task), NODE_STOP_MS)
        return controller.stopAll('STOPPED', drainMs, NODE_STOP_MS)
      }),
    )
  }

  /** Lets go of everything: instances go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOpen = false
    this.#isClosed = true
    for (const controller of this.#controllers.values()) controller.close()
    await this.registry[Symbol.asyncDispose]()
  }

  #deploymentParts(name: string): DeploymentParts {
    const { registry, modules, addresses } = this
    return {
      ...this.#parts,
      registry,
      modules,
      addresses,
      findController: () => this.findController(name),
    }
  }

  #taskChanged(name: string, task: Task | undefined): void {
    const controller = this.#controllers.get(name)
    if (controller !== undefined) controller.taskChanged()
    else if (task === undefined) this.#parts.dataPlane.withdraw(name)
    else if (wantsInstances(task, this.registry)) this.controller(name).taskChanged()
    else this.#publishSleeping(task)
  }

  /** A task without instances needs no controller to be routed: 10,000 of them are cheap. */
  #publishSleeping(task: Task): void {
    const revisions = this.registry.revisions(task.name)
    this.#parts.dataPlane.publish(buildTaskRoute(task, revisions, []))
  }

  async #adopt(instance: Instance): Promise<void> {
    const { task } = instance.plan
    this.addresses.adopt(instance)
    if (this.registry.get(task) !== undefined) {
      await this.controller(task).adopt(instance)
      return
    }
    // Its task was removed, but not all of its instances.
    await instance.stop('STOPPED', 0)
    await instance.remove()
  }

  /** What an earlier control process was told and did not bring to its end. */
  #finishBegun(task: Task): void {
    const { name } = task
    if (task.isRemovedAtEnd) void this.#removeAtEnd(name)
    const controller = this.#controllers.get(name)
    if (task.desired === 'on' || controller === undefined) return
    void this.#exclusively(name, () => controller.stopAll('STOPPED', this.#drainMs(task)))
  }

  /** What cannot be removed stays listed, and goes when control starts the next time. */
  async #removeAtEnd(name: string): Promise<void> {
    const instances = () => this.#controllers.get(name)?.instances ?? []
    for (;;) {
      await Promise.all(instances().map(({ instance }) => instance.exited))
      const isDone = await this.#exclusively(name, async () => {
        if (this.#isClosed || this.registry.get(name) === undefined) return true
        // It was started again meanwhile.
        if (instances().some(({ isLive }) => isLive)) return false
        await this.#remove(name)
        return true
      }).catch(() => true)
      if (isDone) return
    }
  }

  async #remove(name: string): Promise<void> {
    const task = this.registry.require(name)
    // Refuses new requests first, so that none is begun that would be cut.
    await this.registry.save({ ...task, desired: 'stopped' })
    const controller = this.controller(name)
    await controller.stopAll('STOPPED', this.#drainMs(task))
    await this.registry.remove(name)
    prune(this.#parts.drivers, this.registry)
    await controller.forget()
    this.#controllers.delete(name)
    this.#parts.dataPlane.withdraw(name)
    this.#event('removed', name, null, `${name} was removed`)
  }

  async #switchTo(task: Task, revision: number): Promise<void> {
    const target = this.registry.revisions(task.name).get(revision)
    if (target !== undefined) {
      // Routes that it had once may belong to somebody else by now, and others may have connected since.
      await this.modules.assertCallersKnown(target, this.registry)
      assertNoConflict(target.spec, this.registry.specsOfOthers(task.name))
    }
    using assigned = await this.addresses.assignTo(task, task.instances, target?.spec)
    const current = task.traffic[0]?.revision ?? null
    const previous = current === revision ? task.previous : current
    const traffic = [{ revision, percent: 100 }]
    await this.registry.save({ ...task, ...assigned.record, traffic, previous })
  }

  #drainMs(task: Task): number {
    return this.registry.current(task)?.spec.limits.stopTimeoutMs ?? 0
  }

  async #exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(name) ?? Promise.resolve()
    const mine = before.then(work, work)
    const settled = mine.then(
      () => {},
      () => {},
    )
    this.#queues.set(name, settled)
    void settled.then(() => {
      if (this.#queues.get(name) === settled) this.#queues.delete(name)
    })
    return await mine
  }

  #event(
    type: 'promoted' | 'rolledBack' | 'scaled' | 'stopped' | 'started' | 'restarted' | 'removed',
    task: string,
    revision: number | null,
    message: string,
  ): void {
    this.#parts.events.emit({ type, task, revision, message })
  }
}
