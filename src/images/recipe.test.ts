import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'

import {
  binaryConfig,
  openTestImages,
  putTexts,
  RECIPES_FOLDER,
  temporaryFolder,
  type TestImages,
} from '../../tests/fixtures/images.ts'
import { parseRuntime } from '../core/name.ts'

import type { StoredBinary } from './images.ts'
import { buildRecipe, listRecipes, recipeVersion } from './recipe.ts'

const run = promisify(execFile)
const MOUNTS = ['--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp']
const SANDBOX = [...MOUNTS, '--unshare-all', '--uid', '1000', '--gid', '1000']

const MOUNTED = {
  '/etc/hosts': '127.0.0.1 localhost\n',
  '/etc/passwd': 'root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n',
  '/etc/group': 'root:x:0:\nnogroup:x:65534:\n',
}

/** Runs a binary with nothing else of this machine. */
async function runBinary(
  { images, dataFolder }: TestImages,
  binary: StoredBinary,
  args: readonly string[],
) {
  // What the sandbox driver mounts on the places made for it.
  const mounts = Object.entries(MOUNTED).flatMap(([name, text]) => {
    const file = path.join(dataFolder, path.basename(name))
    writeFileSync(file, text)
    return ['--ro-bind', file, name]
  })
  const { path: tree } = await images.materialise(binary.digest)
  const env = Object.entries(binary.config.env).flatMap(([key, value]) => ['--setenv', key, value])
  const bwrap = [
    '--ro-bind',
    tree,
    '/',
    ...SANDBOX,
    ...mounts,
    '--clearenv',
    ...env,
    '--chdir',
    '/',
  ]
  const argv = ['bwrap', ...bwrap, binary.config.entry, ...args]
  // Through a pipe, as in an instance: Node.js itself would give it a socket, which /dev/stdout cannot open.
  return (await run('sh', ['-c', '"$0" "$@" 2>&1 | cat', ...argv])).stdout
}

interface Sample {
  readonly runtime: string
  readonly program: string
  readonly args: readonly string[]
  readonly output: RegExp
}

const SERVE_AND_FETCH = `
  const server = require('node:http').createServer((_, answer) => answer.end('served'))
  server.listen(0, async () => {
    const answer = await fetch('http://localhost:' + server.address().port)
    console.log(await answer.text(), require('node:crypto').randomUUID().length)
    server.close()
  })`

const PYTHON_IMPORTS = `
import ctypes, decimal, hashlib, http.server, json, lzma, sqlite3, ssl, sys, threading, uuid, zoneinfo
thread = threading.Thread(target=lambda: print(sqlite3.connect(":memory:").execute("select 6*7").fetchone()))
thread.start(); thread.join()
print("compiled" if http.server.__cached__ and not sys.flags.optimize else "no", ssl.OPENSSL_VERSION)
trusted = ssl.create_default_context().cert_store_stats()["x509_ca"]
assert trusted > 0 or not __import__("os").path.exists("/etc/ssl/certs/ca-certificates.crt")`

const SAMPLES: readonly Sample[] = [
  {
    runtime: 'node',
    program: process.execPath,
    args: ['-e', SERVE_AND_FETCH],
    output: /^served 36$/m,
  },
  {
    runtime: 'python',
    program: '/usr/bin/python3',
    args: ['-c', PYTHON_IMPORTS],
    output: /\(42,\)\ncompiled OpenSSL/,
  },
  {
    runtime: 'busybox',
    program: '/bin/busybox',
    args: ['sh', '-c', 'echo $(ls -d /etc /app | wc -l) $(readlink /bin)'],
    output: /^2 usr\/bin$/m,
  },
  { runtime: 'nginx', program: '/usr/sbin/nginx', args: ['-t'], output: /test is successful/ },
  {
    runtime: 'redis',
    program: '/usr/bin/redis-server',
    args: ['--version'],
    output: /Redis server v=/,
  },
]

suite('each recipe makes a binary that runs with nothing else of this machine', () => {
  let opened: TestImages
  before(async () => {
    opened = await openTestImages()
  })
  after(() => opened[Symbol.asyncDispose]())

  for (const { runtime, program, args, output } of SAMPLES) {
    const skip = existsSync(program) ? false : `${program} is not installed`
    test(runtime, { skip }, async () => {
      const binary = await opened.images.resolveBinary(parseRuntime(runtime))
      assert.match(await runBinary(opened, binary, args), output)
    })
  }

  test('a static busybox picks its applet by argv[0]', async () => {
    const binary = await opened.images.resolveBinary(parseRuntime('busybox'))
    const { path: tree } = await opened.images.materialise(binary.digest)
    const program = path.join(tree, binary.config.entry)
    const { stdout } = spawnSync(program, ['hello'], { argv0: 'echo', encoding: 'utf8' })
    assert.equal(stdout, 'hello\n')
    assert.ok((await readdir(path.join(tree, 'bin'))).includes('sh'))
  })

  test(
    'Python takes its compiled modules as they are',
    { skip: !existsSync('/usr/bin/python3') && 'no python3' },
    async () => {
      const binary = await opened.images.resolveBinary(parseRuntime('python3'))
      const log = await runBinary(opened, binary, ['-v', '-c', 'import http.server'])
      assert.match(log, /matches .*http\/server\.py/)
      assert.doesNotMatch(log, /bytecode is stale|could not create/)
    },
  )
})

suite('resolveBinary()', () => {
  test('imports once, however many ask at once', async () => {
    await using opened = await openTestImages()
    const asked = ['busybox', 'busybox@1', 'busybox'].map((text) =>
      opened.images.resolveBinary(parseRuntime(text)),
    )
    const digests = new Set((await Promise.all(asked)).map(({ digest }) => digest))
    assert.equal(digests.size, 1)
    assert.equal((await opened.images.listBinaries()).length, 1)
  })

  test('asked for a fresh one, takes what the machine has, whatever is stored', async () => {
    await using opened = await openTestImages()
    const { images } = opened
    const reference = parseRuntime('busybox')
    const ofMachine = await images.resolveBinary(reference)
    const older = await images.putBinary({ ...ofMachine.config, env: { OLDER: 'yes' } })
    await images.removeBinary(ofMachine.digest, new Map())
    assert.equal((await images.resolveBinary(reference)).digest, older.digest)
    const fresh = await images.resolveBinary(reference, { isFresh: true })
    assert.equal(fresh.digest, ofMachine.digest)
    assert.equal((await images.resolveBinary(reference)).digest, ofMachine.digest)
    const tool = await images.putBinary(binaryConfig(ofMachine.config.tree, { version: '1' }))
    const stored = await images.resolveBinary(parseRuntime('tool'), { isFresh: true })
    assert.equal(stored.digest, tool.digest)
  })

  test('takes the newest stored version that fits, by number', async () => {
    await using opened = await openTestImages()
    const tree = await putTexts(opened.images, { 'bin/tool*': 'x' })
    for (const version of ['1.9.0', '1.10.0', '2.0.0', '20.0.0']) {
      await opened.images.putBinary(binaryConfig(tree, { version }))
    }
    const resolved = async (text: string) =>
      (await opened.images.resolveBinary(parseRuntime(text))).config.version
    assert.equal(await resolved('tool'), '20.0.0')
    assert.equal(await resolved('tool@1'), '1.10.0')
    assert.equal(await resolved('tool@2'), '2.0.0')
    assert.equal(await resolved('tool@1.9'), '1.9.0')
    await assert.rejects(resolved('tool@3'), {
      reason: 'BINARY_NOT_FOUND',
      message: /there is 1\.9\.0, 1\.10\.0, 2\.0\.0, 20\.0\.0/,
    })
  })

  test('a binary for another machine is not taken', async () => {
    await using opened = await openTestImages()
    const tree = await putTexts(opened.images, { 'bin/tool*': 'x' })
    await opened.images.putBinary(binaryConfig(tree, { platform: 'linux/riscv64' }))
    await assert.rejects(opened.images.resolveBinary(parseRuntime('tool')), {
      reason: 'BINARY_NOT_FOUND',
    })
  })

  test('a version that the recipe does not have is refused, naming the one it has', async () => {
    await using opened = await openTestImages()
    await assert.rejects(opened.images.resolveBinary(parseRuntime('node@1')), {
      reason: 'BINARY_NOT_FOUND',
      message: new RegExp(`there is ${process.version.slice(1).replaceAll('.', String.raw`\.`)}`),
    })
  })

  test('an unknown name is refused with the nearest one', async () => {
    await using opened = await openTestImages()
    await assert.rejects(opened.images.resolveBinary(parseRuntime('pyton3')), {
      reason: 'BINARY_NOT_FOUND',
      hint: /"python3"/,
    })
  })

  test('what is not installed is refused with the packages that bring it', async () => {
    await using folder = await temporaryFolder()
    const text =
      'name = "ghost"\nversion = ["/usr/bin/ghost"]\nentry = "/usr/bin/ghost"\npackages = ["ghost-light"]'
    await writeFile(path.join(folder.path, 'ghost.toml'), text)
    await using opened = await openTestImages({ recipesFolder: folder.path })
    await assert.rejects(opened.images.resolveBinary(parseRuntime('ghost')), {
      reason: 'BINARY_NOT_FOUND',
      hint: /apt-get install ghost-light/,
    })
  })
})

suite('recipes', () => {
  test('every recipe of ours is valid, and names its packages or needs none', async () => {
    const recipes = await listRecipes(RECIPES_FOLDER)
    const names = recipes.map(({ name }) => name)
    assert.deepEqual(names, ['busybox', 'nginx', 'node', 'python3', 'redis'])
    for (const { name, packages } of recipes)
      assert.ok(name === 'node' || packages.length > 0, name)
  })

  test('an unknown key is refused, naming file and key', async () => {
    await using folder = await temporaryFolder()
    const text = 'name = "x"\nversion = ["/x"]\nentry = "/x"\nfils = []'
    await writeFile(path.join(folder.path, 'x.toml'), text)
    await assert.rejects(listRecipes(folder.path), {
      reason: 'RECIPE_INVALID',
      message: /x\.toml[^]*fils/,
    })
  })

  test('the same machine gives the same binary', async () => {
    const [busybox] = await listRecipes(RECIPES_FOLDER)
    assert.ok(busybox)
    assert.deepEqual((await buildRecipe(busybox)).config, (await buildRecipe(busybox)).config)
  })

  test('globs, exclusions, symlinks and texts end up in the tree', async () => {
    await using folder = await temporaryFolder()
    const at = (...parts: string[]) => path.join(folder.path, ...parts)
    await mkdir(at('data/deep'), { recursive: true })
    for (const name of ['data/a.txt', 'data/b.log', 'data/deep/c.txt'])
      await writeFile(at(name), name)
    await mkdir(at('recipes'))
    const text = `
      name = "sample"
      version = ["/bin/busybox"]
      entry = "/bin/sample"
      program = "/bin/busybox"
      files = ["${folder.path}/data/**"]
      exclude = ["${folder.path}/**/*.log"]
      [links]
      "/data" = "${folder.path}/data"
      [texts]
      "/etc/sample" = "{major} stays"`
    await writeFile(at('recipes/sample.toml'), text)
    const [recipe] = await listRecipes(at('recipes'))
    assert.ok(recipe)
    const { tree } = (await buildRecipe(recipe)).config
    const inside = folder.path.slice(1)
    assert.deepEqual(
      tree.map((entry) => entry.path),
      ['bin/sample', 'data', 'etc/sample', `${inside}/data/a.txt`, `${inside}/data/deep/c.txt`],
    )
    assert.match(await recipeVersion(recipe), /^\d+\.\d+/)
  })
})
