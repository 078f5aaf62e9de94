import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test } from 'node:test'

import { QuiverError } from '../core/error.ts'

import { loadManifest, parseManifest } from './manifest.ts'

const HEAD = 'name = "hello"\nruntime = "node@26"\n'

/** 40 names, all with the ports of 40 wildcards that cover them. */
const MANY_HOSTS = Array.from({ length: 40 }, (_, index) => [
  `tcp://h${index}.a.com:1000`,
  `tcp://*.a.com:${1000 + index}`,
]).flat()

/** The error that a text gives. */
function errorOf(text: string): QuiverError {
  try {
    parseManifest(text)
  } catch (thrown) {
    if (thrown instanceof QuiverError) return thrown
    throw thrown
  }
  return assert.fail('the manifest was accepted')
}

suite('parseManifest()', () => {
  test('two keys are a whole manifest', () => {
    const manifest = parseManifest(HEAD)
    assert.equal(manifest.limits.memory, 268_435_456)
    assert.equal(manifest.scale.pause_after, 10_000)
    assert.equal(manifest.http, undefined)
  })

  test('every problem is reported at once, with its place, its line and what to write', (t) => {
    const text = [
      'nmae = "hello"',
      'runtime = "node@26"',
      'command = "server.js --verbose"',
      'secrets = ["KEY"]',
      'version = 3',
      'memory = "3MiB"',
      '[http]',
      'port = 80803',
      'routes = ["a.localhost", "GTE b.localhost", "a.localhost/*all"]',
      'pause-after = "5s"',
      '[limits]',
      'memory = "64MB"',
      '\tcpu = "0.5"',
      'tmp = "1B"',
      '[scale]',
      'min = 20',
      'cpu = "70%"',
      '[env]',
      'LEVEL = 3',
      '"a b" = "x"',
      '[[connect]]',
      'kind = "tpc"',
      '[port]',
      'port = 6379',
    ].join('\n')
    const error = errorOf(text)
    assert.equal(error.code, 'invalid_argument')
    assert.equal(error.reason, 'MANIFEST_INVALID')
    t.assert.snapshot(error.message.split('\n'))
  })

  test('what comes later is named as such, and is not the fault of the file', () => {
    const error = errorOf(`${HEAD}cron = "daily"\nsecrets = ["KEY"]\n[[volume]]\nname = "x"\n`)
    assert.equal(error.code, 'unimplemented')
    assert.equal(error.reason, 'NOT_YET')
    assert.match(error.message, /quiver\.toml:3:1: cron: is not there yet/)
    assert.match(error.message, /quiver\.toml:4:1: secrets: is not there yet/)
    assert.match(error.message, /quiver\.toml:5:3: volume: is not there yet/)
  })

  test('what is saved when it is ready is a machine with a port of its own, and nobody on the bridge', () => {
    const ready = `${HEAD}snapshot = "ready"\n`
    const machine = `${ready}isolation = "microvm"\n`
    assert.match(errorOf(`${ready}[http]\n`).message, /snapshot: is for machines/)
    assert.match(errorOf(machine).message, /snapshot: needs a port/)
    const bridged = errorOf(`${machine}network = "bridge"\n[http]\n`)
    assert.match(bridged.message, /snapshot: is not there for network "bridge"/)
    assert.equal(parseManifest(`${machine}[http]\n`).snapshot, 'ready')
  })

  test('a syntax error has its place too', () => {
    const error = errorOf('name = "hello"\nruntime = node')
    assert.match(error.message, /^quiver\.toml:2:11: /m)
    assert.equal(error.details['line'], 2)
  })

  test('what a terminal would obey is not repeated', () => {
    assert.ok(!errorOf('name = "\u001b[2J"').message.includes('\u001b'))
  })

  const http = `${HEAD}[http]\nport = 8003\n`
  const broken: readonly [what: string, text: string, message: RegExp][] = [
    ['no program', 'name = "a"', /"runtime" or "file" is missing/],
    ['two programs', `${HEAD}file = "./x"`, /:3:1: file: cannot be used together/],
    ['a program outside', 'name = "a"\nfile = "../x"', /:2:8: file: "..\/x" is not inside/],
    ['isolation of modules', `${HEAD}isolation = "wasm"`, /isolation: is for WebAssembly/],
    ['settings of modules', `${HEAD}[wasm]\nstdout = "body"`, /wasm: is for WebAssembly/],
    [
      'a module with ports',
      'name = "a"\nfile = "x.wasm"\n[[port]]\nport = 1',
      /it takes HTTP only/,
    ],
    [
      'a module that writes',
      'name = "a"\nfile = "x.wasm"\nwritable = true',
      /writable: is not there/,
    ],
    ['a module outside', 'name = "a"\nfile = "/x.wasm"', /is not inside this folder/],
    ['a bad name', 'name = "A_b"\nruntime = "node"', /:1:8: name: "A_b" is not a task name/],
    ['a bad runtime', 'name = "a"\nruntime = "node@"', /:2:11: runtime: "node@" is not a runtime/],
    ['a NUL in an argument', `${HEAD}command = ["\\u0000"]`, /command\[0\]: contains a NUL/],
    ['a relative workdir', `${HEAD}workdir = "app"`, /"app" is not an absolute path/],
    ['a workdir above', `${HEAD}workdir = "/app/.."`, /workdir: contains "\.\."/],
    ['an unknown signal', `${HEAD}stop_signal = "SIGTRM"`, /"SIGTRM" is not possible[^]*"SIGTERM"/],
    [
      'an address where nobody has one',
      `${HEAD}ip = "10.83.0.5"\n[scale]\nmax = 1`,
      /:3:1: ip: has no effect with network = "private"/,
    ],
    ['name servers without a bridge', `${HEAD}dns = ["10.83.0.53"]`, /:3:1: dns: has no effect/],
    [
      'one address for many instances',
      `${HEAD}network = "bridge"\nmac = "02:00:5e:10:00:01"`,
      /:4:1: mac: is for one instance, and scale\.max is 10/,
    ],
    ['an odd address', `${HEAD}network = "bridge"\nip = "10.83.0.256"`, /is not an IPv4 address/],
    ['an odd hardware address', `${HEAD}mac = "01:00:5e:10:00:01"`, /is an address of many/],
    [
      'a name of the host',
      `${HEAD}network = "host"\nhostname = "a"`,
      /:4:1: hostname: has no effect/,
    ],
    [
      'a bridge for a module',
      `name = "a"\nfile = "a.wasm"\nnetwork = "bridge"`,
      /not there for Web/,
    ],
    [
      'an equal route',
      `${http}routes = ["a.b/:x", "A.b/:y"]`,
      /:5:21: http\.routes\[1\]: takes the same/,
    ],
    [
      'an equal port',
      `${http}[[port]]\nport = 8003`,
      /:6:8: port\[0\]\.port: 8003 is already http\.port/,
    ],
    [
      'a port published twice',
      `${HEAD}[[port]]\nport = 1\npublish = "9"\n[[port]]\nport = 2\npublish = "127.0.0.1:9"`,
      /:8:11: port\[1\]\.publish: 127\.0\.0\.1:9 is already published by port\[0\]/,
    ],
    [
      'a health path without HTTP',
      `${HEAD}[health]\nready = "/x"`,
      /health\.ready: needs a web server/,
    ],
    ['a relative health path', `${http}[health]\nready = "x"`, /"x" is not a path/],
    [
      'more than the maximum',
      `${HEAD}[scale]\nmin = 11`,
      /scale\.min: 11 is more than scale\.max, which is 10/,
    ],
    [
      'too little memory',
      `${HEAD}[limits]\nmemory = "3MiB"`,
      /"3MiB" is out of range[^]*4MiB to 1024GiB/,
    ],
    [
      'a fraction of a process',
      `${HEAD}[limits]\npids = 1.5`,
      /1\.5 is out of range[^]*whole number/,
    ],
    ['no core at all', `${HEAD}[limits]\ncpu = 0`, /limits\.cpu: 0 is out of range/],
    ['a pause of a year and more', `${HEAD}[scale]\npause_after = "9999h"`, /or "never"/],
    [
      'a path to allow',
      `${HEAD}allow = ["https://a.com/v1"]`,
      /has a path[^]*write "https:\/\/a\.com"/,
    ],
    [
      'all hosts of a top-level domain',
      `${HEAD}allow = ["https://a.com", "https://*.com"]`,
      /:3:27: allow\[1\]: .*allows too much[^]*"https:\/\/\*\.example\.com"/,
    ],
    [
      'a host and port twice',
      `${HEAD}allow = ["https://a.com", "tcp://A.com:443"]`,
      /:3:27: allow\[1\]: tcp:\/\/a\.com:443 is the same host and port as allow\[0\]/,
    ],
    [
      'more to reach than there is room for',
      `${HEAD}allow = ${JSON.stringify(MANY_HOSTS)}`,
      /:3:1: allow: needs 1600 hosts and ports.*room for 256/,
    ],
    [
      'one name for an upstream and a wildcard',
      `${HEAD}allow = ["https://*.local.test"]\n[[connect]]\ntask = "db"\nas = "db.local.test"`,
      /connect\[0\]\.as: "db\.local\.test" is a host of "allow" too, by "\*\.local\.test"/,
    ],
    [
      'a port that a wildcard needs',
      `${HEAD}allow = ["http://*.a.com:8000"]\n[http]\nport = 8000`,
      /8000 is needed inside the instance to reach \*\.a\.com:8000/,
    ],
    [
      'reaching without a network',
      `${HEAD}network = "none"\nallow = ["https://a.com"]`,
      /allow: has no effect/,
    ],
    [
      'itself as upstream',
      `${HEAD}[[connect]]\ntask = "hello"`,
      /connect\[0\]\.task: is this task itself/,
    ],
    [
      'one name for two hosts',
      `${HEAD}allow = ["https://db.local"]\n[[connect]]\ntask = "db"\nas = "db.local"`,
      /:6:6: connect\[0\]\.as: "db\.local" is a host of "allow" too/,
    ],
    [
      'an upstream twice',
      `${HEAD}[[connect]]\ntask = "db"\n[[connect]]\ntask = "db"`,
      /db:80 is already connect\[0\]/,
    ],
    [
      'TCP without a port',
      `${HEAD}[[connect]]\ntask = "db"\nkind = "tcp"`,
      /connect\[0\]\.port: is missing/,
    ],
    [
      'a port that relays need',
      `${HEAD}allow = ["https://a.com"]\n[http]\nport = 443`,
      /:5:8: http\.port: 443 is needed inside the instance to reach a\.com:443/,
    ],
    ['an odd variable', `${HEAD}[env]\n"A B" = ""`, /env\."A B": is not a name/],
    ['another $PORT', `${http}[env]\nPORT = "1"`, /env\.PORT: "1" is not http\.port/],
    [
      'a default that is not there',
      `${HEAD}default_config = "wrker"\n[config.worker]`,
      /Did you mean "worker"/,
    ],
    [
      'a base that is not there',
      `${HEAD}[config.a]\nbase = "b"`,
      /config\.a\.base: there is no \[config\.b\]/,
    ],
    [
      'a base of a package',
      `${HEAD}[config.a]\nbase = "acme/x:web"`,
      /config\.a\.base: .*not there yet/,
    ],
    ['bases in a circle', `${HEAD}[config.a]\nbase = "b"\n[config.b]\nbase = "a"`, /leads back/],
    ['an odd configuration', `${HEAD}[config."a b"]`, /config\."a b": is not a name/],
    ['a number for a size', `${HEAD}[limits]\nmemory = 64`, /Write memory = "128MiB"/],
    ['a number for a duration', `${HEAD}[scale]\nstop_after = 5`, /Write stop_after = "5m"/],
    ['a NUL in a path', `${HEAD}workdir = "/a\\u0000"`, /is not an absolute path/],
    ['too many tags', `${HEAD}tags = [${'"a",'.repeat(33)}]`, /tags: is too long[^]*at most 32/],
    ['a section twice', `${HEAD}[[http]]\nport = 1`, /http: must be a table[^]*\[http\]/],
    ['a key with a meaning in JavaScript', `${HEAD}__proto__ = 1`, /:3:1/],
  ]
  for (const [what, text, message] of broken) {
    test(`refuses ${what}`, () => assert.match(errorOf(text).message, message))
  }
})

suite('loadManifest()', () => {
  test('takes a folder or a file, and says where it looked', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'quiver-manifest-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = path.join(folder, 'quiver.toml')
    await assert.rejects(loadManifest(folder), { code: 'not_found', reason: 'MANIFEST_NOT_FOUND' })
    await writeFile(file, HEAD)
    assert.equal((await loadManifest(folder)).manifest.name, 'hello')
    assert.deepEqual(await loadManifest(file), await loadManifest(folder))
    await writeFile(file, new Uint8Array([0x6e, 0xff]))
    await assert.rejects(loadManifest(file), {
      reason: 'MANIFEST_INVALID',
      message: /is not UTF-8/,
    })
  })
})
