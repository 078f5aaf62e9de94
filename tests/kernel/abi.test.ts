/** Our kernel under programs as Debian, Go, Java and Node.js ship them: unchanged, each doing what servers do. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { promisify } from 'node:util'

import { findKernel } from '../../src/kernel/kernels.ts'
import { whyNoMachines } from '../fixtures/machine.ts'

import { Disk, runInGuest, type Ended } from './guest.ts'

const execute = promisify(execFile)
const SOURCES = path.join(import.meta.dirname, 'guests')
/** A guest is emulated, and the machine may be busy. */
const TIMEOUT_MS = 300_000
const GO = ['/usr/lib/go-1.23/bin/go', '/usr/bin/go'].find((file) => existsSync(file))

const found = await findKernel(process.env, process.getuid?.() ?? 0)
const skip = whyNoMachines() ?? (existsSync('/usr/bin/mkfs.erofs') ? false : 'no mkfs.erofs')

suite('a guest on our kernel', { skip, timeout: 20 * TIMEOUT_MS }, () => {
  let disk: Disk
  let image: string
  before(async () => {
    disk = await Disk.open()
    await disk.write('/abi/hello.txt', 'hello from a file\n')
    await addC(disk)
    for (const add of [addNode, addPython, addRedis, addNginx, addGo, addJava]) await add(disk)
    image = await disk.build()
  })
  after(() => disk[Symbol.asyncDispose]())

  async function run(script: string, signal: AbortSignal, cpus = 1): Promise<Ended> {
    return runInGuest(image, script, { kernel: found?.path ?? '', cpus, signal })
  }

  /** Lines of a program that ended well. */
  async function lines(script: string, signal: AbortSignal): Promise<readonly string[]> {
    const { console, status } = await run(script, signal)
    assert.equal(status, 0, console)
    const all = console.split('\n').map((line) => line.trim())
    return all.filter((line) => line !== '')
  }

  for (const cpus of [1, 2]) {
    test(
      `every system call that servers use works, with processors: ${cpus}`,
      { timeout: TIMEOUT_MS },
      async ({ signal }) => {
        const { console, status } = await run('/abi/abi', signal, cpus)
        assert.doesNotMatch(console, /FAIL/, console)
        assert.equal(status, 0, console)
        assert.match(console, /^ok left-out$/m)
      },
    )
  }

  test(
    'the kernel says who it is, and tells of no trouble',
    { timeout: TIMEOUT_MS },
    async ({ signal }) => {
      const text = await lines(
        'uname -r; dmesg | grep -iE "error|fail|warn|BUG|unable" || true',
        signal,
      )
      assert.deepEqual(text, [found?.release])
    },
  )

  test('busybox serves a file and fetches it', { timeout: TIMEOUT_MS }, async ({ signal }) => {
    const script =
      'busybox httpd -p 127.0.0.1:8080 -h /abi && wget -q -O - http://127.0.0.1:8080/hello.txt'
    assert.deepEqual(await lines(script, signal), ['hello from a file'])
  })

  test('Node.js', { timeout: TIMEOUT_MS }, async ({ signal }) => {
    assert.deepEqual(await lines('node /abi/hello.mjs', signal), [
      'http 200 hello /you',
      'worker 7',
      'child IPC 0',
      'watch file',
      'socket unix',
      'zlib squeezed 36',
    ])
  })

  test('Python', { timeout: TIMEOUT_MS, skip: without('/usr/bin/python3') }, async ({ signal }) => {
    assert.deepEqual(
      await lines('python3 /abi/hello.py 2>/tmp/errors || cat /tmp/errors', signal),
      ['http 200 hello from a file', 'processes 400', 'sqlite 45', 'mmap map', 'alarm 1'],
    )
  })

  test(
    'Redis saves in the background',
    { timeout: TIMEOUT_MS, skip: without('/usr/bin/redis-server') },
    async ({ signal }) => {
      const script = `
      cd /tmp; redis-server --port 0 --unixsocket /tmp/r --appendonly yes --io-threads 2 --daemonize yes --logfile /tmp/log
      ask() { redis-cli --raw -s /tmp/r "$@"; }
      until ask ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
      ask set key value; ask get key; ask bgsave
      until ask info persistence | grep -q rdb_bgsave_in_progress:0; do sleep 0.1; done
      ask info persistence | grep -o rdb_last_bgsave_status:ok; ask shutdown; cat /tmp/dump.rdb | grep -c key`
      const said = ['OK', 'value', 'Background saving started', 'rdb_last_bgsave_status:ok', '1']
      assert.deepEqual(await lines(script, signal), said)
    },
  )

  test(
    'nginx serves with two workers',
    { timeout: TIMEOUT_MS, skip: without('/usr/sbin/nginx') },
    async ({ signal }) => {
      const script = `
      nginx -e /tmp/errors -c /abi/nginx.conf || exit 1
      wget -q -O - http://127.0.0.1:8080/hello.txt; cat /tmp/access | grep -o "GET /hello.txt"
      kill -QUIT "$(cat /tmp/nginx.pid)"; cat /tmp/errors`
      assert.deepEqual(await lines(script, signal), ['hello from a file', 'GET /hello.txt'])
    },
  )

  test(
    'a static Go program',
    { timeout: TIMEOUT_MS, skip: GO === undefined && 'no go' },
    async ({ signal }) => {
      const said = [
        'http 200 hello /you',
        'goroutines 1000',
        'signal user defined signal 1',
        'exec child',
      ]
      assert.deepEqual(await lines('/abi/hello-go', signal), said)
    },
  )

  test('Java', { timeout: TIMEOUT_MS, skip: without('/usr/bin/jlink') }, async ({ signal }) => {
    const said = ['http 200 hello', 'threads 1000', 'exec child', 'mmap map']
    assert.deepEqual(await lines('/abi/java/bin/java -cp /abi Hello', signal), said)
  })
})

function without(file: string): string | false {
  return existsSync(file) ? false : `there is no ${file}`
}

async function addC(disk: Disk): Promise<void> {
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-static']
  await execute('gcc', [...flags, '-o', disk.at('/abi/abi'), path.join(SOURCES, 'abi.c'), '-lutil'])
}

async function addNode(disk: Disk): Promise<void> {
  await disk.add(process.execPath, '/usr/bin/node')
  await disk.add(path.join(SOURCES, 'hello.mjs'), '/abi/hello.mjs')
}

async function addPython(disk: Disk): Promise<void> {
  if (without('/usr/bin/python3') !== false) return
  const { stdout } = await execute('/usr/bin/python3', [
    '-Sc',
    'import os; print(os.path.dirname(os.__file__))',
  ])
  await disk.add('/usr/bin/python3')
  // It loads this one by name, when threads end.
  await disk.add('/lib/x86_64-linux-gnu/libgcc_s.so.1')
  await disk.add(stdout.trim())
  await disk.add(path.join(SOURCES, 'hello.py'), '/abi/hello.py')
}

async function addRedis(disk: Disk): Promise<void> {
  if (without('/usr/bin/redis-server') !== false) return
  await disk.add('/usr/bin/redis-server')
  await disk.add('/usr/bin/redis-cli')
}

async function addNginx(disk: Disk): Promise<void> {
  if (without('/usr/sbin/nginx') !== false) return
  await disk.add('/usr/sbin/nginx', '/usr/bin/nginx')
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const http = [
    'access_log /tmp/access;',
    'sendfile on;',
    ...folders.map((name) => `${name}_temp_path /tmp/${name};`),
    'server { listen 127.0.0.1:8080 reuseport; root /abi; }',
  ]
  await disk.write(
    '/abi/nginx.conf',
    `user nobody nogroup; worker_processes 2; pid /tmp/nginx.pid; events { use epoll; } http { ${http.join(' ')} }\n`,
  )
}

async function addGo(disk: Disk): Promise<void> {
  if (GO === undefined) return
  const env = { ...process.env, CGO_ENABLED: '0', GOCACHE: path.join(disk.folder, 'go') }
  const args = ['build', '-o', disk.at('/abi/hello-go'), path.join(SOURCES, 'hello.go')]
  await execute(GO, args, { env })
}

async function addJava(disk: Disk): Promise<void> {
  if (without('/usr/bin/jlink') !== false) return
  const runtime = path.join(disk.folder, 'java')
  await execute('javac', ['-d', disk.at('/abi'), path.join(SOURCES, 'Hello.java')])
  await execute('jlink', [
    '--no-man-pages',
    '--no-header-files',
    '--add-modules',
    'java.net.http,jdk.httpserver',
    '--output',
    runtime,
  ])
  await disk.add(runtime, '/abi/java')
}
