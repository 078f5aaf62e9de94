import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'

import { MachineRoom, MEMORY_BYTES, READY, whyNoMachines } from '../../../tests/fixtures/machine.ts'
import { QuiverError } from '../../core/error.ts'

import { readTemplateFacts, templateKey, type TemplateFacts } from './template-facts.ts'
import { Templates, type Draft, type SavableMachine, type Template } from './templates.ts'

/** Says that it is ready, with memory that was used and freed; counts on when it is cloned. */
const SCRIPT = [
  'mkdir /dev/shm; mount -t tmpfs none /dev/shm',
  'head -c 8000000 /dev/zero | tr "\\0" x > /dev/shm/used; rm /dev/shm/used',
  // Otherwise a guest as small as this one gives nothing back.
  'echo 5 > /sys/module/page_reporting/parameters/page_reporting_order',
  `n=1; echo "${READY}"`,
  'while sleep 0.1; do echo "count $n."; n=$((n + 1)); done',
].join('\n')

class Bench implements AsyncDisposable {
  readonly room: MachineRoom
  readonly folder: string
  readonly #initramfs: string

  private constructor(room: MachineRoom, initramfs: string) {
    this.room = room
    this.folder = path.join(room.folder, 'templates')
    this.#initramfs = initramfs
  }

  static async open(): Promise<Bench> {
    const room = await MachineRoom.open()
    return new Bench(room, await room.guest(SCRIPT))
  }

  async facts(program: string | null = null): Promise<TemplateFacts> {
    const plan = this.room.plan({ initramfs: this.#initramfs })
    return await readTemplateFacts(this.room.qemu, plan, plan, program)
  }

  async get(templates: Templates, facts: TemplateFacts): Promise<Template> {
    return await templates.get({ facts, memoryBytes: MEMORY_BYTES, uid: null }, (draft) =>
      this.boot(draft),
    )
  }

  async boot({ memoryFile }: Draft): Promise<SavableMachine> {
    const memory = { kind: 'saving', file: memoryFile } as const
    const plan = this.room.plan({ initramfs: this.#initramfs, memory })
    const { machine, control } = await this.room.startControlled(plan)
    await machine.line(READY)
    return { control, ended: machine.ended, kill: () => machine.kill() }
  }

  async clone(templates: Templates, template: Template) {
    const memory = { kind: 'saved', file: template.memoryFile } as const
    const plan = this.room.plan({ initramfs: this.#initramfs, memory, start: 'load' })
    const started = await this.room.startControlled(plan)
    await templates.clone(template, started.control)
    return started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.room[Symbol.asyncDispose]()
  }
}

async function digestOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}

suite('Templates', { skip: whyNoMachines() }, () => {
  test('clones go on where the machine was saved, each for itself, and none changes the template', async () => {
    await using bench = await Bench.open()
    const templates = await Templates.open(bench.folder)
    const template = await bench.get(templates, await bench.facts())
    const before = await digestOf(template.memoryFile)
    const clones = await Promise.all([1, 2].map(() => bench.clone(templates, template)))
    for (const { machine, control } of clones) {
      assert.equal(await control.status(), 'paused')
      assert.equal(machine.console, '', 'a clone does not boot')
      await control.resume()
    }
    // The guest's kernel gives free pages back every two seconds.
    for (const { machine } of clones) await machine.line('count 40.')
    for (const { machine, control } of clones) {
      assert.doesNotMatch(machine.console, new RegExp(READY))
      assert.equal(machine.errors, '')
      await control.quit()
    }
    assert.equal(await digestOf(template.memoryFile), before)
    assert.deepEqual(templates.counts, { made: 1, cloned: 2, damaged: 0 })
  })

  test('is made once for those who ask at the same time, and found by the next process', async () => {
    await using bench = await Bench.open()
    const templates = await Templates.open(bench.folder)
    const facts = await bench.facts()
    const all = await Promise.all([1, 2, 3].map(() => bench.get(templates, facts)))
    assert.equal(new Set(all.map(({ key }) => key)).size, 1)
    assert.equal(templates.counts.made, 1)
    const again = await Templates.open(bench.folder)
    assert.deepEqual(await again.find(facts), all[0])
  })

  test('what is truncated, foreign or of another machine is not used, and made anew', async () => {
    await using bench = await Bench.open()
    const templates = await Templates.open(bench.folder)
    const facts = await bench.facts()
    const folder = path.join(bench.folder, templateKey(facts))
    const copy = `${bench.folder}-copy`
    const damages: Readonly<Record<string, () => Promise<void>>> = {
      'state truncated': () => truncate(path.join(folder, 'state'), 1000),
      'memory truncated': () => truncate(path.join(folder, 'memory'), MEMORY_BYTES / 2),
      'list of files gone': () => rm(path.join(folder, 'template.json')),
      'list of files damaged': () => writeFile(path.join(folder, 'template.json'), '{"schema":1}'),
      'copied from elsewhere': async () => {
        await rename(folder, copy)
        await cp(copy, folder, { recursive: true, preserveTimestamps: true })
        await rm(copy, { recursive: true })
      },
      'of another machine': async () => {
        const other = await bench.get(templates, await bench.facts('another'))
        await rm(folder, { recursive: true })
        await rename(path.join(bench.folder, other.key), folder)
      },
    }
    for (const [what, damage] of Object.entries(damages)) {
      await bench.get(templates, facts)
      await damage()
      const { damaged } = templates.counts
      assert.equal(await templates.find(facts), undefined, what)
      assert.equal(templates.counts.damaged, damaged + 1, what)
      assert.deepEqual(await readdir(bench.folder), [], what)
    }
  })

  test('a start that fails leaves nothing, and the next one begins anew', async () => {
    await using bench = await Bench.open()
    const templates = await Templates.open(bench.folder)
    const options = { facts: await bench.facts(), memoryBytes: MEMORY_BYTES, uid: null }
    const failing = templates.get(options, async () => {
      throw new QuiverError('failed_precondition', 'START_FAILED', 'it did not start')
    })
    await assert.rejects(failing, { reason: 'START_FAILED' })
    const killed = async (draft: Draft): Promise<SavableMachine> => {
      const machine = await bench.boot(draft)
      machine.kill()
      return machine
    }
    await assert.rejects(templates.get(options, killed), { reason: 'MACHINE_GONE' })
    assert.deepEqual(await readdir(bench.folder), [])
    assert.ok(await bench.get(templates, options.facts))
  })

  test('what a killed process left is removed', async () => {
    await using bench = await Bench.open()
    const facts = await bench.facts()
    await bench.get(await Templates.open(bench.folder), facts)
    const key = templateKey(facts)
    await mkdir(path.join(bench.folder, `${key}.tmp-0123456789ab`))
    await Templates.open(bench.folder)
    assert.deepEqual(await readdir(bench.folder), [key])
  })

  test('those that were not cloned for the longest time are garbage', async () => {
    await using bench = await Bench.open()
    const templates = await Templates.open(bench.folder)
    const first = await bench.get(templates, await bench.facts('one'))
    const second = await bench.get(templates, await bench.facts('two'))
    const { control } = await bench.clone(templates, first)
    await templates.collectGarbage(1)
    assert.deepEqual(await templates.list(), [first.key])
    assert.equal(await templates.find(await bench.facts('two')), undefined)
    assert.notEqual(first.key, second.key)
    await control.resume()
  })
})
