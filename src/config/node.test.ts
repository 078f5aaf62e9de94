import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test } from 'node:test'

import { dataFolder, runFolder } from './folders.ts'
import { loadNodeConfig, resolveNodeConfig, type NodeConfigInput } from './node.ts'

const ROOT: NodeConfigInput = { flags: {}, env: {}, files: [], uid: 0 }

suite('resolveNodeConfig()', () => {
  test('nothing configured is a whole node on loopback', () => {
    const { config, settings } = resolveNodeConfig(ROOT)
    assert.equal(config.data, '/var/lib/quiver')
    assert.equal(config.run, '/run/quiver')
    assert.deepEqual(config.listen, {
      http: { address: '127.0.0.1', port: 8080 },
      https: { address: '127.0.0.1', port: 8443 },
      api: null,
    })
    assert.deepEqual(config.uid, { base: 200_000, size: 25_000 })
    assert.equal(config.domain, 'localhost')
    assert.deepEqual(new Set(settings.map(({ source }) => source)), new Set(['default']))
    for (const { meaning } of settings) assert.match(meaning, /[.]$/)
  })

  test('a flag wins over a variable, that over the later file, that over the earlier', () => {
    const { config, settings } = resolveNodeConfig({
      uid: 0,
      flags: { 'listen.http': '0', data: '/srv/q' },
      env: {
        QUIVER_LISTEN_HTTP: '1',
        QUIVER_LISTEN_HTTPS: 'off',
        QUIVER_UID_SIZE: '50',
        QUIVER_DATA: '',
      },
      files: [
        {
          path: '/etc/quiver/node.toml',
          text: 'domain = "a"\n[listen]\nhttp = "2"\n[limits]\ntasks = 7',
        },
        { path: '/srv/q/node.toml', text: '[listen]\nhttps = "3"\n[limits]\ntasks = 8' },
      ],
    })
    const sources = Object.fromEntries(settings.map(({ name, source }) => [name, source]))
    assert.deepEqual(config.listen.http, { address: '127.0.0.1', port: 0 })
    assert.equal(config.listen.https, null)
    assert.equal(config.limits.tasks, 8)
    assert.equal(config.uid.size, 50)
    assert.equal(sources['listen.http'], '--listen-http')
    assert.equal(sources['listen.https'], 'QUIVER_LISTEN_HTTPS')
    assert.equal(sources['limits.tasks'], '/srv/q/node.toml:4')
    assert.equal(sources['domain'], '/etc/quiver/node.toml:1')
    assert.equal(sources['listen.api'], 'default')
    assert.equal(config.run, runFolder('/srv/q', {}, 0))
  })

  const file = (text: string) => ({ ...ROOT, files: [{ path: 'node.toml', text }] })
  const broken: readonly [what: string, input: NodeConfigInput, message: RegExp][] = [
    [
      'an unknown key',
      file('[listn]\nhttp = "1"'),
      /node\.toml:1:2: listn: is not a known key[^]*"listen"/,
    ],
    ['a wrong value', file('[uid]\nbase = 0'), /node\.toml:2:8: uid\.base: 0 is out of range/],
    ['a relative folder', file('data = "x"'), /node\.toml:1:8: data: "x" is not an absolute path/],
    [
      'a host name',
      { ...ROOT, env: { QUIVER_LISTEN_HTTP: 'localhost:80' } },
      /^QUIVER_LISTEN_HTTP: "localhost:80" is not/,
    ],
    [
      'text for a number',
      { ...ROOT, flags: { 'uid.base': 'x' } },
      /^--uid-base: must be a whole number/,
    ],
    [
      'an unknown flag',
      { ...ROOT, flags: { 'listen.htp': '1' } },
      /^--listen-htp is not a setting/,
    ],
    [
      'half a certificate',
      { ...ROOT, flags: { 'tls.key': '/k' } },
      /^tls\.key is set without tls\.certificate/,
    ],
    [
      'a run folder too long',
      { ...ROOT, flags: { run: `/${'x'.repeat(60)}` } },
      /^--run: .* too long for sockets/,
    ],
  ]
  for (const [what, input, message] of broken) {
    test(`refuses ${what}`, () => {
      assert.throws(() => resolveNodeConfig(input), {
        code: 'invalid_argument',
        reason: 'NODE_CONFIG_INVALID',
        message,
      })
    })
  }

  test('a relative folder from the caller is the folder they mean', () => {
    const { config } = resolveNodeConfig({ ...ROOT, env: { QUIVER_DATA: 'x/../y' } })
    assert.equal(config.data, path.resolve('y'))
  })

  test('a variable that is nearly a setting is told', () => {
    const { warnings } = resolveNodeConfig({ ...ROOT, env: { QUIVER_DTAA: 'x', QUIVER_HOST: 'y' } })
    assert.deepEqual(warnings, ['QUIVER_DTAA has no effect. Did you mean QUIVER_DATA?'])
  })
})

test('loadNodeConfig() reads the system file, then the one of the data folder', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-node-'))
  t.after(() => rm(folder, { recursive: true }))
  const system = path.join(folder, 'etc.toml')
  const input = { flags: {}, env: {}, uid: 0 }
  await writeFile(system, `data = "${folder}"\ndomain = "a"`)
  assert.equal((await loadNodeConfig(input, system)).config.domain, 'a')
  await writeFile(path.join(folder, 'node.toml'), 'domain = "b"')
  const { config } = await loadNodeConfig(input, system)
  assert.deepEqual([config.data, config.domain], [folder, 'b'])
  await writeFile(path.join(folder, 'node.toml'), 'data = "/x"')
  await assert.rejects(loadNodeConfig(input, system), { message: /cannot be set in the folder/ })
})

suite('folders', () => {
  test('the default data folder has the default run folder', () => {
    const env = { HOME: '/home/u', XDG_RUNTIME_DIR: '/run/user/7' }
    assert.equal(dataFolder(env, 0), '/var/lib/quiver')
    assert.equal(dataFolder(env, 7), '/home/u/.local/share/quiver')
    assert.equal(runFolder('/var/lib/quiver/', env, 0), '/run/quiver')
    assert.equal(runFolder('/home/u/.local/share/quiver', env, 7), '/run/user/7/quiver')
  })

  test('another has one of its own, the same through every link, also before it exists', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-run-'))
    t.after(() => rm(folder, { recursive: true }))
    await symlink(folder, path.join(folder, 'link'))
    const run = runFolder(path.join(folder, 'data'), {}, 0)
    assert.match(run, /^\/run\/quiver-[0-9a-f]{8}$/)
    assert.equal(runFolder(path.join(folder, 'link/data'), {}, 0), run)
    assert.notEqual(runFolder(folder, {}, 0), run)
    assert.match(
      runFolder(folder, { XDG_RUNTIME_DIR: '/run/user/7' }, 7),
      /^\/run\/user\/7\/quiver-/,
    )
    assert.match(
      runFolder('/home/u/.local/share/quiver', { HOME: '/home/u' }, 7),
      /^\/tmp\/quiver-/,
    )
  })
})
