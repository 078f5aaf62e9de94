import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  formatListenAddress,
  formatOutsideHost,
  parseListenAddress,
  parseOutsideHost,
} from './address.ts'

suite('parseListenAddress()', () => {
  const valid: readonly [text: string, address: string, port: number][] = [
    ['6379', '127.0.0.1', 6379],
    ['127.0.0.1:6379', '127.0.0.1', 6379],
    ['0.0.0.0:65535', '0.0.0.0', 65_535],
    ['[::1]:80', '::1', 80],
  ]
  for (const [text, address, port] of valid) {
    test(`reads ${text}, and writes it so that it can be read`, () => {
      assert.deepEqual(parseListenAddress(text), { address, port })
      assert.deepEqual(parseListenAddress(formatListenAddress({ address, port })), {
        address,
        port,
      })
    })
  }

  for (const text of [
    '',
    '0',
    '65536',
    'x',
    'localhost:80',
    ':80',
    '::1:80',
    '[127.0.0.1]:80',
    '1.2.3:80',
    '-1',
    '80 ',
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseListenAddress(text), { reason: 'ADDRESS_INVALID' })
    })
  }

  test('takes port 0 only where the system may choose', () => {
    assert.deepEqual(parseListenAddress('127.0.0.1:0', 0), { address: '127.0.0.1', port: 0 })
  })
})

suite('parseOutsideHost()', () => {
  const valid: readonly [text: string, formatted: string][] = [
    ['https://API.example.com', 'https://api.example.com'],
    ['https://api.example.com:443/', 'https://api.example.com'],
    ['https://api.example.com:8443', 'https://api.example.com:8443'],
    ['http://10.0.0.5', 'http://10.0.0.5'],
    ['tcp://db_1.example.com:5432', 'tcp://db_1.example.com:5432'],
    ['tcp://[2001:DB8::1]:5432', 'tcp://[2001:db8::1]:5432'],
    ['https://*.example.com', 'https://*.example.com'],
    ['*.example.com', 'https://*.example.com'],
    ['http://*.Example.com:8080', 'http://*.example.com:8080'],
    ['https://[2606:4700::1111]', 'https://[2606:4700::1111]'],
    ['tcp://[2001:0DB8:0:0:0:0:0:1]:5432', 'tcp://[2001:db8::1]:5432'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['http://[fd00::1]', 'http://[fd00::1]'],
    ['mail.example.com:587', 'tcp://mail.example.com:587'],
    ['example.com.', 'https://example.com'],
  ]
  for (const [text, formatted] of valid) {
    test(`reads ${text}`, () => {
      const host = parseOutsideHost(text)
      assert.equal(formatOutsideHost(host), formatted)
      assert.deepEqual(parseOutsideHost(formatted), host)
    })
  }

  const invalid: readonly [text: string, message: RegExp][] = [
    ['', /is not an outside host/],
    ['https://', /is not an outside host/],
    ['https://a.com/v1', /has a path/],
    ['https://a.com?x', /has a path/],
    ['https://user@a.com', /has a user/],
    ['ftp://a.com', /unknown scheme "ftp"/],
    ['tcp://a.com', /has no port/],
    ['https://a.com:0', /invalid port/],
    ['https://a.com:70000', /invalid port/],
    ['https://*', /allows too much/],
    ['https://*.', /is not an outside host|allows too much/],
    ['https://*.com', /allows too much/],
    ['tcp://*.example.com', /has no port/],
    ['https://a.*.com', /has a star where none may be/],
    ['https://*a.example.com', /has a star where none may be/],
    ['https://a*.example.com', /has a star where none may be/],
    ['https://*.*.com', /has a star where none may be/],
    ['https://**.example.com', /has a star where none may be/],
    ['https://*.10.1.2.3', /has a star before an address/],
    ['https://*.-a.com', /is not an outside host/],
    ['https://1.2.3', /invalid IPv4/],
    ['https://0.0.0.0', /is not the address of a host/],
    ['https://224.0.0.1', /is not the address of a host/],
    ['https://255.255.255.255', /is not the address of a host/],
    ['tcp://[::g]:80', /invalid IPv6/],
    ['tcp://[fe80::1%eth0]:80', /invalid IPv6/],
    ['tcp://[fe80::1]:80', /is a link-local address/],
    ['tcp://[::ffff:10.0.0.1]:80', /is an IPv4 address within IPv6/],
    ['tcp://[::]:80', /is not the address of a host/],
    ['tcp://[ff02::1]:80', /is not the address of a host/],
    ['tcp://[10.0.0.1]:80', /invalid IPv6/],
    ['https://2001:db8::1', /is not an outside host/],
    ['tcp://::1:80', /is not an outside host/],
    ['https://a b.com', /is not an outside host/],
  ]
  for (const [text, message] of invalid) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseOutsideHost(text), { reason: 'ALLOW_INVALID', message })
    })
  }
})
