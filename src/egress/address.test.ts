import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { classifyAddress, type AddressKind } from './address.ts'

/** First and last address of every special-purpose range, and the neighbours of those that have public ones. */
const CASES: readonly [kind: AddressKind, addresses: readonly string[]][] = [
  ['unusable', ['0.0.0.0', '0.255.255.255']],
  ['public', ['1.0.0.0', '9.255.255.255', '11.0.0.0', '8.8.8.8', '93.184.216.34']],
  ['private', ['10.0.0.0', '10.255.255.255']],
  ['public', ['100.63.255.255', '100.128.0.0']],
  ['private', ['100.64.0.0', '100.127.255.255']],
  ['loopback', ['127.0.0.0', '127.0.0.1', '127.255.255.255']],
  ['public', ['126.255.255.255', '128.0.0.0', '169.253.255.255', '169.255.0.0']],
  ['linkLocal', ['169.254.0.0', '169.254.169.253', '169.254.255.255']],
  ['public', ['172.15.255.255', '172.32.0.0']],
  ['private', ['172.16.0.0', '172.31.255.255']],
  ['unusable', ['192.0.0.0', '192.0.0.8', '192.0.0.170', '192.0.0.255']],
  ['public', ['191.255.255.255', '192.0.1.0']],
  ['private', ['192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255']],
  ['private', ['203.0.113.0', '203.0.113.255', '198.18.0.0', '198.19.255.255']],
  ['public', ['192.31.196.1', '192.52.193.1', '192.175.48.1', '198.17.255.255', '198.20.0.0']],
  ['unusable', ['192.88.99.0', '192.88.99.255']],
  ['private', ['192.168.0.0', '192.168.255.255']],
  ['public', ['192.167.255.255', '192.169.0.0', '223.255.255.255']],
  ['unusable', ['224.0.0.0', '239.255.255.255', '240.0.0.0', '255.255.255.255']],
  ['metadata', ['169.254.169.254', '169.254.170.2', '169.254.170.23']],
  ['metadata', ['100.100.100.200', '168.63.129.16', '192.0.0.192']],

  ['loopback', ['::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:7f00:1']],
  ['unusable', ['::', '::2', '::127.0.0.1', '::ffff:0:127.0.0.1', '::fffe:1.2.3.4']],
  ['public', ['::ffff:8.8.8.8', '::ffff:808:808', '0:0:0:0:0:FFFF:0808:0808']],
  ['private', ['::ffff:10.0.0.1', '::ffff:192.168.1.1', '::ffff:100.64.0.1']],
  ['metadata', ['::ffff:169.254.169.254', '::ffff:a9fe:a9fe']],
  ['public', ['64:ff9b::8.8.8.8', '64:ff9b::808:808']],
  ['private', ['64:ff9b::10.0.0.1', '2002:a00:1::1', '2002:c0a8:101::']],
  ['loopback', ['64:ff9b::7f00:1', '2002:7f00:1::1']],
  ['metadata', ['64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::']],
  ['unusable', ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', '64:ff9b:0:0:0:1:808:808']],
  ['unusable', ['100::', '100::ffff:ffff:ffff:ffff', '100:0:0:1::']],
  ['unusable', ['2001::', '2001:0:4136:e378::', '2001:2::', '2001:10::', '2001:1ff:ffff::']],
  ['public', ['2001:200::', '2001:4860:4860::8888', '2606:4700::1111', '2620:4f:8000::']],
  ['public', ['2000::', '2002:808:808::1', '3ffe:ffff::', '3fff:1000::']],
  ['private', ['2001:db8::', '2001:db8:ffff:ffff::', '3fff::', '3fff:fff:ffff::']],
  ['unusable', ['4000::', '5f00::', 'fbff::', '1fff:ffff::']],
  ['private', ['fc00::', 'fd12:3456::1', 'fdff:ffff::', 'fd00:ec2::1']],
  ['metadata', ['fd00:ec2::254', 'FD00:EC2:0:0:0:0:0:254', 'fd00:ec2::23', 'fd20:ce::254']],
  ['linkLocal', ['fe80::', 'fe80::1', 'febf:ffff::']],
  ['unusable', ['fe00::', 'fec0::', 'feff::', 'ff00::', 'ff02::1', 'ffff::']],
  [
    'unusable',
    ['fe80::1%eth0', '2606:4700::1%lo', '', 'localhost', '1.2.3', '0x7f.1', '2130706433'],
  ],
]

suite('classifyAddress()', () => {
  for (const [kind, addresses] of CASES) {
    for (const address of addresses) {
      test(`finds ${JSON.stringify(address)} ${kind}`, () => {
        assert.equal(classifyAddress(address), kind)
      })
    }
  }
})
