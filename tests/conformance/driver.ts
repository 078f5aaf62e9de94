/**
 * What every driver must do, whatever it isolates with.
 *
 * Call `testDriver` from a driver's own test file. The suite talks only to the public contract, so a driver that passes
 * can be swapped for another one. Plans come from the fixture, because only it knows what its driver can run.
 */

import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { after, before, suite, test, type TestContext } from 'node:test'

import type { ExitReason } from '../../src/core/instance.ts'
import type {
  Driver,
  Instance,
  InstancePlan,
  OpenStream,
  StdioPlan,
} from '../../src/drivers/driver.ts'

export interface DriverFixture extends AsyncDisposable {
  /** Opens a driver over the same node each time: what one leaves, the next finds. */
  open(): Promise<Driver>
  readonly openStream: OpenStream
  /** Steps of a start that an instance tells, in their order. */
  readonly phases: readonly string[]
  /** Ends a running instance from outside, as nobody asked for. @returns the reason that is then told */
  kill(instance: Instance): Promise<ExitReason>
  /** What this driver's instances cannot do by their nature: the tests of it are skipped, with this reason. */
  readonly without: { readonly [behaviour in Behaviour]?: string }
  /** A fresh id each time. */
  readonly plans: {
    /** Ends at once with this status. */
    exit(status: number): InstancePlan
    /** Runs until it is ended. */
    sleep(): InstancePlan
    /** Runs until it is killed: it ignores its stop signal. */
    stubborn(): InstancePlan
    /** Answers HTTP requests on port 8000. */
    serve(): InstancePlan
    /** Listens on another port than the declared 8000. */
    serveElsewhere(): InstancePlan
    /** The program is not there. */
    missing(): InstancePlan
    /** A tree that it needs is not there: `/no/such/tree`. */
    treeless(): InstancePlan
    /** Copies stdin to stdout, then exits with 0. */
    copy(stdio: StdioPlan): InstancePlan
    /** Uses more memory than its limit allows. */
    hog(): InstancePlan
  }
}

/** `ends`: a server may end by itself. `ports`: it chooses the port. `grows`: memory is taken first, and refused later. */
type Behaviour = 'ends' | 'ports' | 'grows'

const HELD: StdioPlan = { isTerminal: false, isHeld: true, hasStdin: true }

function deadline(): AbortSignal {
  return AbortSignal.timeout(20_000)
}

export function testDriver(name: string, open: () => Promise<DriverFixture>): void {
  suite(`${name} driver`, () => {
    let fixture: DriverFixture
    let driver: Driver

    before(async () => {
      fixture = await open()
      driver = await fixture.open()
    })
    after(async () => {
      await driver[Symbol.asyncDispose]()
      await fixture[Symbol.asyncDispose]()
    })

    const started = async (plan: InstancePlan): Promise<Instance> => {
      const instance = await driver.prepare(plan)
      await instance.start(deadline())
      return instance
    }

    const request = async (instance: Instance): Promise<string> => {
      const stream = await fixture.openStream(instance.endpoint, 8000, deadline())
      stream.end('GET / HTTP/1.0\r\n\r\n')
      return await text(stream)
    }

    test('probe() finds this host usable', async () => {
      const report = await driver.probe()
      assert.ok(report.usable, JSON.stringify(report.findings))
    })

    test('an instance is prepared, running, then exited, and reports its status', async () => {
      const instance = await driver.prepare(fixture.plans.exit(0))
      assert.equal(instance.state, 'prepared')
      await instance.start(deadline()).catch(() => {})
      const report = await instance.exited
      assert.deepEqual([report.status, report.reason], [0, 'COMPLETED'])
      assert.equal(instance.state, 'exited')
      await instance.remove()
    })

    test('an error status is reported, and the instance has failed', async () => {
      const instance = await driver.prepare(fixture.plans.exit(7))
      await instance.start(deadline()).catch(() => {})
      const report = await instance.exited
      assert.deepEqual([report.status, report.reason], [7, 'EXITED'])
      assert.equal(instance.state, 'failed')
    })

    test('start() resolves when the declared port answers', async () => {
      const instance = await started(fixture.plans.serve())
      assert.match(await request(instance), /^HTTP\/1\.[01] 200/)
      const reached = instance.phases.map((phase) => phase.name)
      assert.deepEqual(reached, fixture.phases)
      await instance.stop('STOPPED', 1000)
    })

    test('a program that is not there is START_FAILED, and leaves nothing', async () => {
      const instance = await driver.prepare(fixture.plans.missing())
      await assert.rejects(instance.start(deadline()), { reason: 'START_FAILED' })
      assert.equal(instance.state, 'failed')
    })

    test('an isolation that cannot be made is START_FAILED, and says of what', async () => {
      const instance = await driver.prepare(fixture.plans.treeless())
      await assert.rejects(instance.start(deadline()), {
        reason: 'START_FAILED',
        message: /\/no\/such\/tree/,
      })
      assert.equal(instance.state, 'failed')
    })

    const lacks = (behaviour: Behaviour, t: TestContext): boolean => {
      const reason = fixture.without[behaviour]
      if (reason !== undefined) t.skip(reason)
      return reason !== undefined
    }

    test('an early end is EXITED_EARLY where a port was declared', async (t) => {
      if (lacks('ends', t)) return
      const plan = fixture.plans.exit(3)
      const http = { port: 8000, routes: [], sticky: 'none' } as const
      const instance = await driver.prepare({ ...plan, spec: { ...plan.spec, http } })
      await assert.rejects(instance.start(deadline()), { reason: 'EXITED_EARLY' })
    })

    test('a wrong port is WRONG_PORT, and names both', async (t) => {
      if (lacks('ports', t)) return
      const instance = await driver.prepare(fixture.plans.serveElsewhere())
      await assert.rejects(instance.start(AbortSignal.timeout(6000)), {
        reason: 'WRONG_PORT',
        message: /8000/,
      })
    })

    test('a paused instance answers after resume()', async (t) => {
      if (!driver.capabilities.pause) {
        t.skip('this driver cannot pause')
        return
      }
      const instance = await started(fixture.plans.serve())
      await instance.pause()
      assert.equal(instance.state, 'paused')
      const answer = request(instance)
      await instance.resume()
      assert.match(await answer, /^HTTP\/1\.[01] 200/)
      await instance.stop('STOPPED', 1000)
    })

    test('stop() ends a program that obeys, with the reason given', async () => {
      const instance = await started(fixture.plans.sleep())
      const report = await instance.stop('IDLE', 5000)
      assert.equal(report.reason, 'IDLE')
      assert.equal(instance.state, 'exited')
    })

    test('stop() kills a program that ignores its stop signal', async () => {
      const instance = await started(fixture.plans.stubborn())
      const report = await instance.stop('STOPPED', 200)
      assert.deepEqual([report.reason, report.status], ['STOPPED', null])
    })

    test('a paused instance can be stopped', async (t) => {
      if (!driver.capabilities.pause) {
        t.skip('this driver cannot pause')
        return
      }
      const instance = await started(fixture.plans.sleep())
      await instance.pause()
      assert.equal((await instance.stop('IDLE', 5000)).reason, 'IDLE')
    })

    test('an instance that never started can be stopped', async () => {
      const instance = await driver.prepare(fixture.plans.sleep())
      assert.equal((await instance.stop('STOPPED', 1000)).status, null)
    })

    test('too much memory is OUT_OF_MEMORY', async (t) => {
      if (lacks('grows', t)) return
      const { findings } = await driver.probe()
      if (findings.some(({ feature, present }) => feature.includes('memory') && !present)) {
        t.skip('this host cannot limit memory')
        return
      }
      const instance = await driver.prepare(fixture.plans.hog())
      await instance.start(deadline()).catch(() => {})
      assert.equal((await instance.exited).reason, 'OUT_OF_MEMORY')
    })

    test('a held program starts with its first attachment and loses no byte', async () => {
      const instance = await driver.prepare(fixture.plans.copy(HELD))
      const starting = instance.start(deadline())
      await using session = await instance.attach(true)
      session.stdin.end('one two three')
      const output = await text(session.stdout)
      await starting
      assert.equal(output, 'one two three')
      assert.equal(await session.status, 0)
    })

    test('adopt() finds a live instance, and it goes on answering', async () => {
      const plan = fixture.plans.serve()
      const first = await started(plan)
      await first[Symbol.asyncDispose]()
      await using second = await fixture.open()
      const found = await second.adopt()
      const adopted = found.find((instance) => instance.plan.id === plan.id)
      assert.ok(adopted, 'the instance was not found')
      assert.equal(adopted.state, 'running')
      assert.match(await request(adopted), /^HTTP\/1\.[01] 200/)
      const report = await adopted.stop('STOPPED', 1000)
      assert.equal(report.reason, 'STOPPED')
      await adopted.remove()
    })

    test('adopt() tells the end of an instance that ended unseen', async () => {
      const plan = fixture.plans.sleep()
      const first = await started(plan)
      const reason = await fixture.kill(first)
      await first.exited
      await using second = await fixture.open()
      const found = await second.adopt()
      const dead = found.find((instance) => instance.plan.id === plan.id)
      assert.equal(dead?.state, 'failed')
      assert.equal((await dead?.exited)?.reason, reason)
    })
  })
}
