import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { MachinePlan } from '../machine.ts'

import { buildArgv } from './argv.ts'

const MIB = 1024 * 1024
const PLAN: MachinePlan = {
  accelerator: 'emulation',
  cpus: 1,
  memoryBytes: 128 * MIB,
  memory: { kind: 'anonymous' },
  kernel: '/machine/kernel',
  initramfs: '/machine/initramfs',
  commandLine: 'quiet',
  disks: ['/machine/disk0', '/machine/disk1'],
  channel: 3,
  control: 4,
  start: 'boot',
}

/** What follows each option of that name. */
function values(plan: MachinePlan, option: string): readonly string[] {
  const argv = buildArgv(plan)
  return argv.filter((_, index) => argv[index - 1] === `-${option}`)
}

suite('buildArgv()', () => {
  test('a machine has its disks, channel, entropy and balloon, and nothing that QEMU adds by itself', () => {
    assert.ok(buildArgv(PLAN).includes('-nodefaults'))
    assert.deepEqual(
      values(PLAN, 'device').map((device) => device.split(',')[0]),
      'blk-device blk-device serial-device serialport rng-device balloon-device'
        .split(' ')
        .map((name) => (name === 'serialport' ? 'virtserialport' : `virtio-${name}`)),
    )
  })

  test('QEMU may start no program, change no user and set no priority', () => {
    const [sandbox = ''] = values(PLAN, 'sandbox')
    const denied = ['obsolete', 'elevateprivileges', 'spawn', 'resourcecontrol']
    assert.equal(sandbox, `on,${denied.map((what) => `${what}=deny`).join(',')}`)
  })

  test('a machine that is loaded has neither kernel nor command line', () => {
    const load = { ...PLAN, start: 'load' } as const
    assert.deepEqual(values(load, 'incoming'), ['defer'])
    for (const option of ['kernel', 'initrd', 'append']) {
      assert.deepEqual(values(load, option), [])
      assert.equal(values(PLAN, option).length, 1)
    }
  })

  test('a comma in a path ends nothing', () => {
    const memory = { kind: 'saved', file: '/a,share=on' } as const
    const [backend = ''] = values({ ...PLAN, memory }, 'object')
    assert.match(backend, /,share=off,mem-path=\/a,,share=on$/)
    assert.match(values({ ...PLAN, disks: ['/a,b'] }, 'blockdev')[0] ?? '', /filename=\/a,,b$/)
  })

  const sizes = [
    [32, 32],
    [128, 64],
    [4096, 96],
  ] as const
  for (const [memoryMib, translationsMib] of sizes) {
    test(`a guest of ${memoryMib} MiB has ${translationsMib} MiB for its translations`, () => {
      const [accel = ''] = values({ ...PLAN, memoryBytes: memoryMib * MIB }, 'accel')
      assert.match(accel, new RegExp(`tb-size=${translationsMib}$`))
    })
  }
})
