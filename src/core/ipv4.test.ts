import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  contains,
  formatIpv4,
  formatSubnet,
  isHost,
  overlaps,
  parseIpv4,
  parseSubnet,
} from './ipv4.ts'

test('an address is one number, and the same text again', () => {
  for (const text of ['0.0.0.0', '10.83.0.10', '127.255.0.1', '192.0.2.1', '255.255.255.255']) {
    assert.equal(formatIpv4(parseIpv4(text)), text)
  }
  assert.equal(parseIpv4('255.255.255.255'), 2 ** 32 - 1)
})

test('what is not exactly four numbers is refused', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.4 ', '::1', 'a']) {
    assert.throws(() => parseIpv4(text), { reason: 'IP_INVALID' }, text)
  }
})

test('a subnet is written with its first address', () => {
  assert.equal(formatSubnet(parseSubnet('10.83.0.0/16')), '10.83.0.0/16')
  assert.throws(() => parseSubnet('10.83.1.0/16'), { hint: 'Its first address is 10.83.0.0/16.' })
  for (const text of ['10.83.0.0', '10.83.0.0/7', '10.83.0.0/30', '10.83.0.0/x', 'x/16']) {
    assert.throws(() => parseSubnet(text), { code: 'invalid_argument' }, text)
  }
})

test('a subnet in which nobody can be is refused', () => {
  for (const text of ['0.0.0.0/8', '127.0.0.0/16', '224.0.0.0/16', '240.0.0.0/8']) {
    assert.throws(() => parseSubnet(text), { hint: /Nobody can have an address of it/ }, text)
  }
  assert.equal(formatSubnet(parseSubnet('223.0.0.0/8')), '223.0.0.0/8')
})

test('who belongs to a subnet, and who may be somebody in it', () => {
  const subnet = parseSubnet('192.168.4.0/24')
  const cases = [
    ['192.168.4.0', true, false],
    ['192.168.4.1', true, true],
    ['192.168.4.255', true, false],
    ['192.168.5.1', false, false],
    ['192.168.3.255', false, false],
  ] as const
  for (const [text, isInside, mayBeHost] of cases) {
    assert.equal(contains(subnet, parseIpv4(text)), isInside, text)
    assert.equal(isHost(subnet, parseIpv4(text)), mayBeHost, text)
  }
})

test('subnets overlap when one is within the other', () => {
  const wide = parseSubnet('10.0.0.0/8')
  const narrow = parseSubnet('10.83.0.0/16')
  assert.ok(overlaps(wide, narrow) && overlaps(narrow, wide) && overlaps(wide, wide))
  assert.ok(!overlaps(narrow, parseSubnet('10.84.0.0/16')))
})
