/** The control service's instances: runs, sessions, signals, logs. */

import type { InstanceView, RunRequest, RunResult } from '../../api/resources.ts'
import type { InstanceControl, OpenedSession } from '../../api/service.ts'
import { QuiverError } from '../../core/error.ts'
import type { TaskSpec } from '../../core/task.ts'
import type { Instance, Session } from '../../drivers/driver.ts'
import type { ManagedInstance } from '../../scheduler/managed.ts'
import { planEnv } from '../../scheduler/planning.ts'

import { buildCoreControl } from './cores.ts'
import { openSharedFolders } from './folders.ts'
import { invoke } from './invoke.ts'
import { readLogs } from './logs.ts'
import { freeName } from './names.ts'
import { buildSpec } from './overrides.ts'
import { httpPort, type ServiceParts } from './parts.ts'
import { Snippets } from './snippets.ts'
import { findTarget, wakeTarget } from './targets.ts'
import { addressesOf } from './tasks.ts'
import { urlsOf, viewInstance, viewPublish } from './views.ts'

const ATTACH_MS = 30_000

export function buildInstanceControl(parts: ServiceParts): InstanceControl {
  const { scheduler } = parts
  const snippets = new Snippets(parts)
  return {
    listInstances: async (task) => {
      const controllers =
        task === undefined
          ? [...scheduler.controllers]
          : [scheduler.findController(scheduler.registry.require(task).name)].filter(
              (one) => one !== undefined,
            )
      const all = controllers.flatMap(({ instances }) => instances)
      return await Promise.all(all.map(view))
    },
    getInstance: async (id) => await view(scheduler.findInstance(id)),
    createRun: (request) => createRun(request, parts),
    runSnippet: snippets.run,
    attach: async (target, isPrimary) => {
      const managed = findTarget(target, parts)
      return await attach(managed, isPrimary, parts)
    },
    exec: async (target, request, signal) => {
      const managed = await wakeTarget(target, parts, signal)
      const env = { ...(await environmentOf(managed, parts)), ...request.env }
      return await hold(managed, parts, managed.instance.exec({ ...request, env }))
    },
    invoke: (name, request, signal) => invoke(name, request, signal, parts),
    signalInstance: async (id, signal) => {
      await scheduler.findInstance(id).instance.signal(signal)
    },
    logs: (target, query, signal) => readLogs(target, query, signal, parts),
    ...buildCoreControl(parts),
  }
}

async function view(managed: ManagedInstance): Promise<InstanceView> {
  return viewInstance(managed, managed.isLive ? await managed.instance.usage() : null)
}

async function createRun(request: RunRequest, parts: ServiceParts): Promise<RunResult> {
  const { scheduler, images, config, dataPlane } = parts
  const image = await images.getImage(request.image)
  const name = request.name ?? freeName(image.config.name, scheduler.registry)
  const spec = buildSpec(image.config, { ...request, name }, config.domain)
  const { isDetached, isRemovedAtEnd, hasStdin } = request
  const mounts = await openSharedFolders(request.folders ?? [], { spec, image, images, config })
  const managed = await scheduler.prepareRun(spec, request.image, {
    stdio: { isTerminal: request.terminal !== null, isHeld: !isDetached, hasStdin },
    mounts,
    isRemovedAtEnd,
  })
  if (isDetached) await launchOrRemove(managed, spec, parts)
  else endUnlessAttached(managed)
  return {
    instance: managed.id,
    task: spec.name,
    urls: urlsOf(spec, await httpPort(config.runFolder)),
    publish: viewPublish(spec, (address, port) => dataPlane.publishFailure(address, port)),
    addresses: addressesOf(spec, scheduler),
  }
}

/** A detached run that cannot start leaves nothing behind. */
async function launchOrRemove(
  managed: ManagedInstance,
  spec: TaskSpec,
  { scheduler }: ServiceParts,
): Promise<void> {
  try {
    await scheduler.controller(spec.name).launch(managed)
  } catch (thrown) {
    // Perhaps it is gone already.
    await scheduler.remove(spec.name).catch(() => {})
    throw withoutLogs(QuiverError.from(thrown))
  }
}

/** Its logs went with it: what it writes is seen by whoever stays attached. */
function withoutLogs(error: QuiverError): QuiverError {
  const { code, reason, message, hint } = error
  const instead = 'Run it without --detach to see what it writes.'
  return new QuiverError(code, reason, message, {
    cause: error,
    hint: hint?.replace(/See "quiver logs [^"]*"\./, instead) ?? instead,
  })
}

/** Whoever asked for it may have gone before he attached. */
function endUnlessAttached({ instance }: ManagedInstance): void {
  const timer = setTimeout(() => {
    if (instance.state === 'prepared') void instance.stop('STOPPED', 0)
  }, ATTACH_MS)
  timer.unref()
  void instance.exited.then(() => clearTimeout(timer))
}

/** From the revision: an adopted instance's plan has none, and PID 1 has forgotten what it gave the program. */
async function environmentOf(
  { id, instance: { plan } }: ManagedInstance,
  { scheduler, images }: ServiceParts,
): Promise<Readonly<Record<string, string>>> {
  const revision = scheduler.registry.revisions(plan.task).get(plan.revision)
  if (revision === undefined) return plan.env
  const image = await images.getImage(revision.image)
  return planEnv(revision.spec, await images.getBinary(image.config.binary), id)
}

async function attach(
  managed: ManagedInstance,
  isPrimary: boolean,
  parts: ServiceParts,
): Promise<OpenedSession> {
  const { instance } = managed
  if (instance.state !== 'prepared') return await hold(managed, parts, instance.attach(isPrimary))
  // Held: it waits inside for this very session. How its start goes, the session tells.
  const starting = parts.scheduler.controller(instance.plan.task).launch(managed)
  starting.catch(() => {})
  return await hold(managed, parts, attachStarting(instance, isPrimary, starting))
}

/** What could not be attached to, or was lost, because it did not start says why. */
async function attachStarting(
  instance: Instance,
  isPrimary: boolean,
  starting: Promise<void>,
): Promise<Session> {
  const explain = async (thrown: unknown): Promise<never> => {
    await starting
    throw thrown
  }
  const session = await instance.attach(isPrimary).catch(explain)
  const status = session.status.catch(explain)
  // Whoever has hung up does not ask for it any more.
  status.catch(() => {})
  const { stdin, stdout, stderr } = session
  return {
    stdin,
    stdout,
    stderr,
    status,
    resize: (rows, columns) => session.resize(rows, columns),
    signal: (signal) => session.signal(signal),
    [Symbol.asyncDispose]: async () => await session[Symbol.asyncDispose](),
  }
}

/** An instance with somebody inside is not idle. */
async function hold(
  managed: ManagedInstance,
  { scheduler }: ServiceParts,
  opening: Promise<Session>,
): Promise<OpenedSession> {
  const controller = scheduler.controllerOf(managed.id)
  controller?.holdAwake(managed)
  try {
    const session = await opening
    const release = () => controller?.letIdle(managed)
    session.status.then(release, release)
    return { instance: managed.id, session }
  } catch (thrown) {
    controller?.letIdle(managed)
    throw thrown
  }
}
