import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { mergeEnvironment } from './env.ts'
import { parseManifest } from './manifest.ts'
import { resolveConfigs, resolveManifest } from './resolve.ts'

const HEAD = 'name = "hello"\nruntime = "node@26"\ncommand = ["server.js"]\n'

suite('resolveManifest()', () => {
  test('fills in every default', (t) => {
    t.assert.snapshot(resolveManifest(parseManifest(`${HEAD}[http]`)))
  })

  test('keeps what is written, with units turned into numbers', () => {
    const spec = resolveManifest(
      parseManifest(`${HEAD}
        argv0 = "hi"
        writable = true
        stop_signal = "SIGQUIT"
        allow = ["https://api.example.com", "tcp://10.0.0.5:5432"]
        [http]
        port = 8003
        routes = ["GET  Example.com/api/:id/"]
        sticky = "cookie"
        [[port]]
        port = 6379
        publish = "0.0.0.0:16379"
        [scale]
        pause_after = "never"
        stop_after = "1h"
        [limits]
        cpu = 0.5
        wall_time = "2h"
        [[connect]]
        task = "db"
        as = "database"
        port = 5000
        kind = "tcp"
      `),
    )
    assert.equal(spec.argv0, 'hi')
    assert.equal(spec.isWritable, true)
    assert.equal(spec.stopSignal, 3)
    assert.deepEqual(spec.http, {
      port: 8003,
      routes: ['GET example.com/api/:id'],
      sticky: 'cookie',
    })
    assert.deepEqual(spec.ports, [{ port: 6379, publish: { address: '0.0.0.0', port: 16_379 } }])
    assert.deepEqual([spec.scale.pauseAfterMs, spec.scale.stopAfterMs], [null, 3_600_000])
    assert.deepEqual([spec.limits.cpuMillis, spec.limits.wallTimeMs], [500, 7_200_000])
    assert.deepEqual(spec.connect, [{ task: 'db', as: 'database', port: 5000, kind: 'tcp' }])
    assert.deepEqual(spec.allow, [
      { scheme: 'https', host: 'api.example.com', port: 443 },
      { scheme: 'tcp', host: '10.0.0.5', port: 5432 },
    ])
  })
})

suite('named configurations', () => {
  const manifest = parseManifest(`${HEAD}default_config = "web"
    [env]
    FROM = "env"
    LEVEL = "info"
    [config.web]
    env = { FROM = "web" }
    [config.worker]
    command = ["worker.js"]
    argv0 = "worker"
    env = { FROM = "worker", MODE = "a=b 'c' \\"d\\"\\ne" }
    [config.fast]
    base = "worker"
    env = { FROM = "fast" }
  `)

  test('each says what it changes, in a form that an image can keep', () => {
    const configs = resolveConfigs(manifest)
    assert.deepEqual(configs['web'], { env: { FROM: 'web' } })
    assert.deepEqual(configs['worker']?.args, ['worker.js'])
    assert.deepEqual(JSON.parse(JSON.stringify(configs)), configs)
  })

  test('a base gives its command and variables, and its variables can be overridden', () => {
    assert.deepEqual(resolveConfigs(manifest)['fast'], {
      args: ['worker.js'],
      argv0: 'worker',
      env: { FROM: 'fast', MODE: 'a=b \'c\' "d"\ne' },
    })
  })

  test('flags win over files, a later file over an earlier one, files over .env', () => {
    const [dotenv, first, second] = [
      { A: '.env', B: '.env', C: '.env', D: '.env' },
      { B: '1', C: '1', D: '1' },
      { C: '2', D: '2' },
    ]
    const merged = mergeEnvironment({ dotenv, files: [first, second], flags: { D: 'flag' } })
    assert.deepEqual(merged, { A: '.env', B: '1', C: '2', D: 'flag' })
    const large = { LARGE: 'x'.repeat(200_000) }
    assert.throws(() => mergeEnvironment({ dotenv, files: [large], flags: {} }), {
      reason: 'ENV_INVALID',
    })
  })
})
