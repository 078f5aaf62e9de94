import assert from 'node:assert/strict'
import { test } from 'node:test'

import { macOf, parseHostname, parseMac } from './identity.ts'
import { parseIpv4 } from './ipv4.ts'

test('the hardware address of an address is its own, and one that Quiver itself would take', () => {
  assert.equal(macOf(parseIpv4('10.83.0.10')), '02:71:0a:53:00:0a')
  assert.equal(parseMac(macOf(parseIpv4('255.255.255.255'))), '02:71:ff:ff:ff:ff')
})

test('hardware addresses are read as people write them', () => {
  assert.equal(parseMac('02-00-5E-10-00-01'), '02:00:5e:10:00:01')
  for (const text of ['', '02:00', '02:00:5e:10:00:0', '03:00:5e:10:00:01', 'ff:ff:ff:ff:ff:ff']) {
    assert.throws(() => parseMac(text), { reason: 'MAC_INVALID' }, text)
  }
  assert.throws(() => parseMac('00:00:00:00:00:00'), /nobody/)
})

test('a host name is one label, and not everybody its own', () => {
  assert.equal(parseHostname('db-1'), 'db-1')
  for (const text of ['', 'a.b', 'A', '-a', 'localhost']) {
    assert.throws(() => parseHostname(text), { reason: 'NAME_INVALID' }, text)
  }
})
