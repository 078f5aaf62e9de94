import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { resolveAllowed, type Exceptions } from './resolve.ts'

const NONE: Exceptions = { isPrivateAllowed: false, named: [] }

async function resolve(
  addresses: readonly string[],
  exceptions = NONE,
): Promise<readonly string[]> {
  return await resolveAllowed('api.example.com', exceptions, async () => addresses)
}

suite('resolveAllowed()', () => {
  test('lets the families take turns, so that a dead one costs one attempt', async () => {
    const [six, four] = [
      ['2606:4700::1', '2606:4700::2', '2606:4700::3'],
      ['1.1.1.1', '8.8.8.8'],
    ] as const
    assert.deepEqual(await resolve([...six, ...four]), [six[0], four[0], six[1], four[1], six[2]])
    assert.deepEqual(await resolve([...four, ...six]), [four[0], six[0], four[1], six[1], six[2]])
    assert.deepEqual(await resolve(six), six)
  })

  test('keeps both families of a name with very many addresses', async () => {
    const six = Array.from({ length: 40 }, (_, index) => `2606:4700::${index + 1}`)
    const found = await resolve([...six, '1.1.1.1'])
    assert.equal(found.length, 16)
    assert.equal(found[1], '1.1.1.1')
  })

  test('knows an address that is named, however it is written', async () => {
    const named = ['fd00::1', '10.0.0.1']
    const same = ['FD00:0:0::0001', '::ffff:10.0.0.1', '10.0.0.1']
    const found = await resolve([...same, 'fd00::2', '10.0.0.2'], { ...NONE, named })
    assert.deepEqual(found.toSorted(), same.toSorted())
  })

  test("leads by no exception to what is nobody's address", async () => {
    const addresses = ['::', 'ff02::1', '224.0.0.1', '64:ff9b:1::1']
    const exceptions = { isPrivateAllowed: true, named: addresses }
    await assert.rejects(resolve(addresses, exceptions), { reason: 'ADDRESS_REFUSED' })
  })
})
