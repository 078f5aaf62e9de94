import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'

import { openTestImages } from '../../../tests/fixtures/images.ts'
import { kernelPath, whyNoMachines } from '../../../tests/fixtures/machine.ts'
import { MachineBinary } from '../../images/machine-binary.ts'

import { findAccelerator, type AcceleratorHost } from './accelerator.ts'
import { buildCommandLine } from './command-line.ts'
import { createQemu } from './qemu/index.ts'
import { measureTicksPerMs } from './ticks.ts'

const FIRST_PROCESS = path.join(import.meta.dirname, '../../../native/build/first-process')

suite('findAccelerator()', { skip: whyNoMachines() }, () => {
  test('starts a guest, and says why it is emulation when that does not work', async () => {
    await using opened = await openTestImages()
    const host = await hostOf(opened)
    const facts = await findAccelerator(host)
    // Whichever this host is: nobody is told that KVM works without a guest that said so.
    if (facts.accelerator === 'kvm') assert.equal(facts.why, null)
    else assert.match(facts.why ?? '', /no \/dev\/kvm|said nothing for|its guest ended: ./)
    assert.deepEqual(await readdir(host.folder), ['accelerator.json'])
  })

  test('a guest that says that it works is believed', async () => {
    await using opened = await openTestImages()
    const host = await hostOf(opened)
    // The same guest, translated: what KVM does where it works.
    const qemu = createQemu('emulating')
    const commandLine = buildCommandLine('emulation', await measureTicksPerMs())
    const argv: typeof qemu.argv = (plan) =>
      qemu.argv({ ...plan, accelerator: 'emulation', commandLine })
    const facts = await findAccelerator({ ...host, hypervisor: { ...qemu, argv } })
    assert.deepEqual(
      [facts.accelerator, facts.why],
      existsSync('/dev/kvm') ? ['kvm', null] : ['emulation', 'this machine has no /dev/kvm'],
    )
  })

  test('is found once, and again when asked or when QEMU is another', async () => {
    await using opened = await openTestImages()
    const host = { ...(await hostOf(opened)), timeoutMs: 200 }
    const first = await findAccelerator(host)
    await writeFile(
      host.cacheFile,
      (await readFile(host.cacheFile, 'utf8')).replace(/"why":[^,]+/, '"why":"kept"'),
    )
    assert.equal((await findAccelerator(host)).why, 'kept')
    assert.equal((await findAccelerator(host, true)).why, first.why)
    await writeFile(host.cacheFile, 'half of')
    assert.equal((await findAccelerator(host)).why, first.why)
    const other = { ...host, hypervisor: createQemu('other') }
    assert.equal((await findAccelerator(other)).why, first.why)
  })

  test('the counter of the processor keeps the number that it was once found to have', async () => {
    await using opened = await openTestImages()
    const host = { ...(await hostOf(opened)), timeoutMs: 200 }
    const { ticksPerMs } = await findAccelerator(host)
    assert.equal((await findAccelerator(host, true)).ticksPerMs, ticksPerMs)
    const isSteady = (await readFile('/proc/cpuinfo', 'utf8')).includes('constant_tsc')
    assert.equal(ticksPerMs !== null && ticksPerMs > 100_000, isSteady)
  })
})

async function hostOf(opened: {
  readonly images: ConstructorParameters<typeof MachineBinary>[0]
  readonly dataFolder: string
}): Promise<AcceleratorHost> {
  const { path: tree, version } = await new MachineBinary(opened.images).tree()
  const folder = path.join(opened.dataFolder, 'incoming')
  await chmod(folder, 0o711)
  const isRoot = process.getuid?.() === 0
  assert.ok(existsSync(FIRST_PROCESS), 'run scripts/build-native')
  return {
    hypervisor: createQemu(version),
    tree,
    kernel: kernelPath() ?? '',
    firstProcess: FIRST_PROCESS,
    bwrapPath: '/usr/bin/bwrap',
    uid: isRoot ? 4_000_000 : null,
    folder,
    cacheFile: path.join(folder, 'accelerator.json'),
  }
}
