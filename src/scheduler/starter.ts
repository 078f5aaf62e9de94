/** Starts one instance of a revision, from trees to readiness; knows nothing of traffic or numbers of instances. */

import type { Duplex } from 'node:stream'

import { monotonicNs } from '../core/clock.ts'
import { QuiverError } from '../core/error.ts'
import type { Revision, Task, TaskSpec } from '../core/task.ts'
import type {
  Driver,
  Instance,
  InstancePlan,
  Mount,
  OpenStream,
  StdioPlan,
} from '../drivers/driver.ts'
import { planExecutor, type ExecutorTree } from '../drivers/module-plan.ts'
import type { ImageStore } from '../images/images.ts'
import { isWasm } from '../images/wasm-binary.ts'

import type { AddressBook } from './addresses.ts'
import { planInstance } from './planning.ts'

export interface StarterParts {
  readonly images: ImageStore
  readonly drivers: ReadonlyMap<string, Driver>
  readonly openStream: OpenStream
  /** What runs WebAssembly in a process. */
  readonly executor: () => Promise<ExecutorTree>
  readonly addresses: AddressBook
}

/** Between two tries of a health path that does not say 200 yet. */
const HEALTH_INTERVAL_MS = 25
const HEALTH_HEAD_BYTES_MAX = 16_384

export class Starter {
  readonly #parts: StarterParts

  constructor(parts: StarterParts) {
    this.#parts = parts
  }

  /** Everything before the first process: trees from the store, folder, cgroups, identity. */
  async prepare(
    task: Task,
    revision: Revision,
    stdio: StdioPlan,
    mounts: readonly Mount[],
  ): Promise<{ readonly instance: Instance; readonly materialisedAtNs: number }> {
    const { images } = this.#parts
    const image = await images.getImage(revision.image)
    const binary = await images.getBinary(image.config.binary)
    const [binaryTree, imageTree] = await Promise.all([
      images.materialise(binary.digest),
      images.materialise(image.digest),
    ])
    const materialisedAtNs = monotonicNs()
    using held = new DisposableStack()
    const address = this.#parts.addresses.take(task, revision.spec)
    if (address !== undefined) held.use(address)
    const planned: InstancePlan = planInstance(revision, {
      binary,
      binaryTree: binaryTree.path,
      imageTree: imageTree.path,
      uidIndex: task.uidIndex,
      stdio,
      mounts,
      isRun: task.kind === 'run',
      ...(address === undefined ? {} : { bridge: address.interface }),
    })
    const needsExecutor = isWasm(binary.config.platform) && revision.spec.isolation !== 'wasm'
    const plan = needsExecutor ? planExecutor(planned, await this.#parts.executor()) : planned
    const instance = await requireDriver(this.#parts.drivers, plan.spec).prepare(plan)
    const taken = held.move()
    void instance.exited.then(() => taken.dispose())
    return { instance, materialisedAtNs }
  }

  /**
   * @returns when it was ready, CLOCK_MONOTONIC nanoseconds
   * @throws QuiverError as `Instance.start` does, and `failed_precondition/UNHEALTHY`; the instance is dead then
   */
  async start(instance: Instance): Promise<number> {
    const { plan } = instance
    const { startTimeoutMs, stopTimeoutMs } = plan.spec.limits
    const signal = AbortSignal.timeout(startTimeoutMs)
    await instance.start(signal)
    try {
      await this.awaitHealthy(instance, signal)
    } catch (thrown) {
      await instance.stop('UNHEALTHY', stopTimeoutMs)
      throw thrown
    }
    await instance.settle()
    return monotonicNs()
  }

  /** Asks the health path until it says 200; returns at once for a task without one. */
  async awaitHealthy(instance: Instance, signal: AbortSignal): Promise<void> {
    const { readyPath, http, name } = instance.plan.spec
    if (readyPath === null || http === null) return
    let last = 'nothing'
    while (!signal.aborted) {
      try {
        const stream = await this.#parts.openStream(instance.endpoint, http.port, signal)
        const status = await askStatus(stream, readyPath, signal)
        if (status === 200) return
        last = `status ${status}`
      } catch (error) {
        // The try that the deadline cut says less than what was answered before.
        if (!signal.aborted || last === 'nothing')
          last = error instanceof Error ? error.message : String(error)
      }
      await Promise.race([sleep(HEALTH_INTERVAL_MS), instance.exited])
      if (instance.state !== 'running') break
    }
    throw new QuiverError(
      'failed_precondition',
      'UNHEALTHY',
      `${readyPath} of ${name} did not answer 200 (${last})`,
      {
        hint: 'Answer 200 there once the task can serve, or change "ready" under [health] in quiver.toml.',
      },
    )
  }
}

/**
 * @throws QuiverError `unimplemented/ISOLATION_UNAVAILABLE` with those that the node has; `invalid_argument/SPEC_UNSUPPORTED` for
 *   what the one cannot do
 */
export function requireDriver(
  drivers: ReadonlyMap<string, Driver>,
  { isolation, network }: TaskSpec,
): Driver {
  const driver = drivers.get(isolation)
  if (driver !== undefined && (network !== 'bridge' || driver.capabilities.bridge === true)) {
    return driver
  }
  if (driver !== undefined) throw noBridge(isolation)
  throw new QuiverError(
    'unimplemented',
    'ISOLATION_UNAVAILABLE',
    `this node has no "${isolation}" isolation`,
    { hint: `Choose one of: ${[...drivers.keys()].join(', ')}.` },
  )
}

function noBridge(isolation: TaskSpec['isolation']): QuiverError {
  const message = `instances of isolation "${isolation}" cannot be on the bridge`
  return new QuiverError('invalid_argument', 'SPEC_UNSUPPORTED', message, {
    hint: 'Use isolation = "sandbox", or network = "private" with [[connect]].',
  })
}

/** The status of a GET, read from the first bytes of the answer. */
function askStatus(stream: Duplex, path: string, signal: AbortSignal): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const abort = () => stream.destroy(new Error('no answer in time'))
  signal.addEventListener('abort', abort, { once: true })
  let head = ''
  stream.on('data', (chunk: Buffer) => {
    head += chunk.toString('latin1')
    const [, status] = /^HTTP\/1\.[01] (\d{3})[ \r]/.exec(head) ?? []
    if (status !== undefined) resolve(Number(status))
    else if (head.length > HEALTH_HEAD_BYTES_MAX || head.includes('\n'))
      reject(new Error('not HTTP'))
  })
  stream.on('error', reject)
  stream.on('close', () => reject(new Error('the connection was closed')))
  stream.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: quiver-health\r\nConnection: close\r\n\r\n`,
  )
  return promise.finally(() => {
    signal.removeEventListener('abort', abort)
    stream.destroy()
  })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
