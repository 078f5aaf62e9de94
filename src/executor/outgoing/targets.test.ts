import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { OutsidePlan } from '../protocol.ts'

import { findTaskTarget, findUrlTarget } from './targets.ts'

const PLAN: OutsidePlan = {
  egress: null,
  hosts: [
    { host: 'api.example.com', port: 443 },
    { host: '*.example.net', port: 443 },
    { host: '192.0.2.7', port: 8080 },
    { host: '2001:db8::1', port: 80 },
  ],
  tasks: [
    { name: 'shop', port: 80, task: 'shop-v2' },
    { name: 'admin', port: 8000, task: 'admin' },
  ],
}

suite('a URL leads to', () => {
  const found: readonly [url: string, name: string, port: number, task: string | null][] = [
    ['https://api.example.com/x', 'api.example.com', 443, null],
    ['https://API.example.com./x', 'api.example.com', 443, null],
    ['https://user:secret@api.example.com/', 'api.example.com', 443, null],
    ['https://a.b.example.net/', 'a.b.example.net', 443, null],
    ['http://192.0.2.7:8080/', '192.0.2.7', 8080, null],
    ['http://0xc0000207:8080/', '192.0.2.7', 8080, null],
    ['http://[2001:db8::1]/', '2001:db8::1', 80, null],
    ['http://shop/', 'shop', 80, 'shop-v2'],
    ['http://admin:8000/', 'admin', 8000, 'admin'],
  ]
  for (const [url, name, port, task] of found) {
    test(`${name}:${port} when it is ${url}`, () => {
      const isSecure = url.startsWith('https:')
      assert.deepEqual(findUrlTarget(new URL(url), PLAN), { name, port, isSecure, task })
    })
  }

  const refused = [
    'http://api.example.com/',
    'https://api.example.com:8443/',
    'https://example.net/',
    'https://xexample.net/',
    'http://127.0.0.1:8080/',
    'http://localhost/',
    'https://api.example.com.evil.example/',
  ]
  for (const url of refused) {
    test(`nowhere when it is ${url}, and the error has the line that is missing`, () => {
      const { origin } = new URL(url)
      assert.throws(() => findUrlTarget(new URL(url), PLAN), {
        reason: 'HOST_NOT_ALLOWED',
        hint: `Add to quiver.toml: allow = ["${origin}"].`,
      })
    })
  }

  test('another port of a task, which is said', () => {
    assert.throws(() => findUrlTarget(new URL('http://admin/'), PLAN), {
      hint: 'The task admin is at http://admin:8000, and not on port 80.',
    })
  })

  test('no other protocol', () => {
    assert.throws(() => findUrlTarget(new URL('file:///etc/passwd'), PLAN), {
      reason: 'URL_INVALID',
    })
  })
})

test('a task is found by the name that it has here, or by its own', () => {
  for (const name of ['shop', 'shop-v2']) assert.equal(findTaskTarget(name, PLAN).task, 'shop-v2')
  assert.throws(() => findTaskTarget('other', PLAN), { reason: 'TASK_NOT_CONNECTED' })
})
