/** What doctor says of the processor, which a node that runs has tried. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { describeProcessor } from './microvm.ts'

function backend(isolation: 'microvm' | 'sandbox', isPresent: boolean, remedy: string | null) {
  const findings = [{ feature: 'KVM', isPresent, isRequired: false, remedy }]
  return { isolation, isUsable: true, findings }
}

test('that machines are emulated is said, with the reason that the node found', () => {
  const why = 'Without it machines are emulated: a guest said nothing for 5 s.'
  const [found, ...rest] = describeProcessor({ backends: [backend('microvm', false, why)] })
  assert.deepEqual(rest, [])
  assert.deepEqual(
    [found?.feature, found?.isPresent, found?.isRequired, found?.remedy],
    ['KVM, for microVMs', false, false, why],
  )
})

test('nothing is said of what nobody has tried, and no reason where it works', () => {
  assert.deepEqual(describeProcessor({ backends: [] }), [])
  assert.deepEqual(describeProcessor({ backends: [backend('sandbox', false, 'no')] }), [])
  const [found] = describeProcessor({ backends: [backend('microvm', true, null)] })
  assert.deepEqual([found?.isPresent, found?.remedy], [true, ''])
})
