import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { withEnvironment } from './env.ts'
import { parseManifest } from './manifest.ts'
import { applyConfig, resolveConfigs, resolveManifest, resolveSpecs } from './resolve.ts'

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

  test('the default is used when none is named', () => {
    const [spec, ...others] = resolveSpecs(manifest)
    assert.deepEqual([spec?.args, spec?.env['FROM']], [['server.js'], 'web'])
    assert.equal(others.length, 0)
  })

  test('several run in the order in which they are named', () => {
    const specs = resolveSpecs(manifest, ['worker', 'web'])
    assert.deepEqual(
      specs.map(({ args, env }) => [args, env['FROM']]),
      [
        [['worker.js'], 'worker'],
        [['server.js'], 'web'],
      ],
    )
  })

  test('a base gives its command and variables, and its variables can be overridden', () => {
    const [spec] = resolveSpecs(manifest, ['fast'])
    assert.deepEqual([spec?.args, spec?.argv0], [['worker.js'], 'worker'])
    assert.deepEqual(spec?.env, { FROM: 'fast', LEVEL: 'info', MODE: 'a=b \'c\' "d"\ne' })
  })

  test('an image keeps them, and applies them as the manifest does', () => {
    const configs = JSON.parse(JSON.stringify(resolveConfigs(manifest)))
    const spec = applyConfig(resolveManifest(manifest), configs, 'fast')
    assert.deepEqual(spec, resolveSpecs(manifest, ['fast'])[0])
  })

  test('an unknown name is told with the nearest one', () => {
    assert.throws(() => resolveSpecs(manifest, ['wroker']), {
      code: 'not_found',
      reason: 'CONFIG_NOT_FOUND',
      hint: 'Did you mean "worker"?',
    })
    assert.throws(() => resolveSpecs(manifest, ['constructor']), { reason: 'CONFIG_NOT_FOUND' })
  })

  test('flags win over files, files over .env, .env over the configuration, that over [env]', () => {
    const [spec] = resolveSpecs(manifest, ['worker'])
    assert.ok(spec)
    const layers = { dotenv: { FROM: '.env' }, files: { FROM: 'file' }, flags: { FROM: 'flag' } }
    const { dotenv, files } = layers
    assert.equal(withEnvironment(spec, {}).env['FROM'], 'worker')
    assert.equal(withEnvironment(spec, { dotenv }).env['FROM'], '.env')
    assert.equal(withEnvironment(spec, { dotenv, files }).env['FROM'], 'file')
    assert.equal(withEnvironment(spec, layers).env['FROM'], 'flag')
    assert.equal(withEnvironment(spec, layers).env['LEVEL'], 'info')
  })
})
