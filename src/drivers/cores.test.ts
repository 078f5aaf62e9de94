import assert from 'node:assert/strict'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'

import { temporaryFolder } from '../../tests/fixtures/images.ts'

import { Cores, type Core } from './cores.ts'
import type { InstancePlan } from './driver.ts'

const ID = 'web-2-abcdef'
const HEAD = 'pid=7 signal=6 comm=web\n'

/** Of a plan nothing else is looked at. */
function planOf(id: string): InstancePlan {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as said
  return { id } as InstancePlan
}

class Rig implements AsyncDisposable {
  readonly stored: Core[] = []
  readonly failures: string[] = []
  readonly #folder: Awaited<ReturnType<typeof temporaryFolder>>

  constructor(folder: Awaited<ReturnType<typeof temporaryFolder>>) {
    this.#folder = folder
  }

  static async make(): Promise<Rig> {
    const rig = new Rig(await temporaryFolder())
    await mkdir(rig.out, { recursive: true })
    return rig
  }

  get folder(): string {
    return path.join(this.#folder.path, 'cores')
  }

  get instance(): string {
    return path.join(this.#folder.path, 'instance')
  }

  get out(): string {
    return path.join(this.instance, 'out')
  }

  async open(): Promise<Cores> {
    return await Cores.open({
      folder: this.folder,
      onStored: (core) => void this.stored.push(core),
      onFailure: ({ message }) => void this.failures.push(message),
    })
  }

  async write(name: string, content: string): Promise<void> {
    await writeFile(path.join(this.out, name), `${HEAD}${content}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]()
  }
}

const numbersOf = (cores: readonly Core[]): readonly number[] => cores.map(({ number }) => number)

suite('Cores', () => {
  test('the newest eight of a task are kept, each as it was', async () => {
    await using rig = await Rig.make()
    const cores = await rig.open()
    for (let number = 1; number <= 10; number++) {
      await rig.write(`core.${number}`, `content ${number}`)
      await cores.take(planOf(ID), rig.instance, true)
    }
    await cores.settled()
    assert.deepEqual(numbersOf(rig.stored), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert.deepEqual(numbersOf(await cores.list('web')), [3, 4, 5, 6, 7, 8, 9, 10])
    assert.equal(await text(await cores.read('web', 4)), 'content 4')
    await assert.rejects(cores.read('web', 2), { reason: 'CORE_NOT_FOUND' })
    const [first] = rig.stored
    assert.deepEqual([first?.instance, first?.revision, first?.signal], [ID, 2, 6])
    assert.deepEqual(rig.failures, [])
  })

  test('what is still written stays until its instance has ended', async () => {
    await using rig = await Rig.make()
    const cores = await rig.open()
    await rig.write('core.1.part', 'half')
    await cores.take(planOf(ID), rig.instance, false)
    assert.deepEqual(await readdir(rig.out), ['core.1.part'])
    await cores.take(planOf(ID), rig.instance, true)
    await cores.settled()
    assert.equal(await text(await cores.read('web', 1)), 'half')
  })

  test('nothing but a file is ever followed or opened', async () => {
    await using rig = await Rig.make()
    const cores = await rig.open()
    await symlink('/etc/passwd', path.join(rig.out, 'core.1'))
    await mkdir(path.join(rig.out, 'core.2'))
    await cores.take(planOf(ID), rig.instance, true)
    await cores.settled()
    assert.deepEqual(await cores.list(), [])
    assert.deepEqual(await readdir(path.join(rig.folder, '.incoming')), [])
  })

  test('those of a task that was removed go, also when nobody was told', async () => {
    await using rig = await Rig.make()
    const cores = await rig.open()
    for (const id of [ID, 'api-1-abcdef', 'old-1-abcdef']) {
      await rig.write('core.1', id)
      await cores.take(planOf(id), rig.instance, true)
    }
    await cores.settled()
    await cores.removeTask('web')
    await (await rig.open()).removeOthers((name) => name === 'api')
    assert.deepEqual(
      (await cores.list()).map(({ task }) => task),
      ['api'],
    )
  })

  test('what was taken is stored by the next process', async () => {
    await using rig = await Rig.make()
    await rig.open()
    await writeFile(path.join(rig.folder, '.incoming', `${ID}.1`), `${HEAD}content`)
    await writeFile(path.join(rig.folder, '.incoming', 'what?'), 'nobody knows')
    const cores = await rig.open()
    await cores.settled()
    assert.equal(await text(await cores.read('web', 1)), 'content')
    assert.deepEqual(await readdir(path.join(rig.folder, '.incoming')), [])
  })
})
