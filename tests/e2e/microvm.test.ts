/** The same image in the sandbox and in a machine of its own: one word is changed, and nobody who asks can tell. */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'

import { findKernel } from '../../src/kernel/kernels.ts'

import { TestNode, type HttpResult } from './harness.ts'
import { gone, instancesOf, killProcess, liveInstance, nodeId, processesOf } from './wreck.ts'

const kernel = await findKernel(process.env, process.getuid?.() ?? 0)
const skip = kernel === undefined ? 'no kernel was built: run "quiver kernel build"' : false

/** Example → what both say of it, with what differs left out. */
const EXAMPLES: Readonly<Record<string, (answer: HttpResult) => string>> = {
  busybox: ({ body }) => body,
  'static-c': ({ body }) => body,
  'node-hello': ({ body }) => body.replace(/\d+/, 'N'),
  'python-web': ({ body }) => body,
  'nginx-site': ({ body }) => body,
}

suite('microVMs', { skip }, () => {
  let node: TestNode
  before(async () => {
    node = await TestNode.start()
  })
  after(async () => {
    await node[Symbol.asyncDispose]()
  })

  const processes = async (task: string) => {
    const { id } = await liveInstance(node, task)
    return await processesOf(node, id, `${nodeId(node)}-microvms`)
  }

  for (const [name, tell] of Object.entries(EXAMPLES)) {
    test(`${name} answers as in the sandbox`, async () => {
      await node.deployExample(name)
      const boxed = await node.get(name)
      await node.deployExample(name, '--isolation', 'microvm')
      const own = await node.get(name)
      assert.equal((await node.describe(name)).isolation, 'microvm')
      assert.deepEqual([own.status, tell(own)], [boxed.status, tell(boxed)])
      const { phases } = await liveInstance(node, name)
      assert.ok(phases.some((phase) => phase.name === 'boot' || phase.name === 'clone'))
      await node.ok('stop', name)
    })
  }

  test('a shell has a kernel of its own, and may read what it says', async () => {
    const script = 'uname -r; dmesg | wc -l; id -u; echo out >/dev/stdout; exit 3'
    const run = ['run', 'busybox', '--isolation', 'microvm', '--rm', '--', 'sh', '-c', script]
    const { status, stdout } = await node.quiver(...run)
    assert.equal(status, 3)
    const [release, lines, ...rest] = stdout.trim().split('\n')
    assert.equal(release, kernel?.release)
    assert.ok(Number(lines) > 0)
    assert.deepEqual(rest, ['1000', 'out'])
  })

  test('exec and logs are those of a sandbox', async () => {
    await node.deployExample('busybox', '--isolation', 'microvm')
    await node.get('busybox')
    const { status, stdout } = await node.quiver(
      'exec',
      'busybox',
      '--',
      'sh',
      '-c',
      'hostname; exit 7',
    )
    assert.deepEqual([status, stdout], [7, 'busybox\n'])
  })

  test('a connection to another task goes through its channel', async () => {
    const folder = await node.writeFiles({
      'quiver.toml': `name = "asker"\nruntime = "busybox"\nargv0 = "sh"\ncommand = ["serve.sh"]\nisolation = "microvm"\n[http]\nport = 8080\n[[connect]]\ntask = "busybox"\n`,
      'serve.sh': `mkdir -p /tmp/cgi-bin
cat >/tmp/cgi-bin/ask <<'END'
#!/bin/sh
printf 'Content-Type: text/html\\r\\n\\r\\n'
exec wget -q -O - http://busybox/
END
chmod +x /tmp/cgi-bin/ask
exec busybox httpd -f -p 8080 -h /tmp
`,
    })
    await node.ok('deploy', folder)
    const [asked, own] = [await node.get('asker', '/cgi-bin/ask'), await node.get('busybox')]
    assert.deepEqual([asked.status, asked.body], [200, own.body])
  })

  test('control is killed, and finds the machine again', async () => {
    const { id } = await liveInstance(node, 'busybox')
    await killProcess(node, 'control')
    const found = await node.until('its adoption', () => liveInstance(node, 'busybox'))
    assert.equal(found.id, id)
    assert.equal((await node.get('busybox')).status, 200)
  })

  for (const victim of ['task', 'ainit', 'bwrap'] as const) {
    test(`${victim} of a machine is killed: it is told, and replaced`, async () => {
      await node.get('busybox')
      const { id } = await liveInstance(node, 'busybox')
      const pid = (await processes('busybox'))[victim]
      process.kill(pid, 'SIGKILL')
      await gone(node, pid)
      const ended = await node.until('its end', async () => {
        const instance = (await instancesOf(node, 'busybox')).find((one) => one.id === id)
        return instance?.exit ?? undefined
      })
      assert.equal(ended.reason, victim === 'task' ? 'MACHINE_FAILED' : 'KILLED')
      assert.equal((await node.get('busybox')).status, 200)
    })
  }

  test('a machine that is killed while it stands still is told when it is wanted, and replaced', async () => {
    await node.deployFiles({
      'quiver.toml': `name = "still"\nruntime = "busybox"\nargv0 = "httpd"\ncommand = ["-f", "-p", "8080", "-h", "/app"]\nisolation = "microvm"\n[http]\nport = 8080\n[scale]\npause_after = "100ms"\n`,
      'index.html': 'still here',
    })
    await node.get('still')
    const { id } = await node.until('its pause', async () => {
      const instance = await liveInstance(node, 'still')
      return instance.state === 'paused' ? instance : undefined
    })
    process.kill((await processes('still')).task, 'SIGKILL')
    const { status, body } = await node.get('still')
    assert.deepEqual([status, body], [200, 'still here'])
    const ended = (await instancesOf(node, 'still')).find((one) => one.id === id)
    assert.equal(ended?.exit?.reason, 'MACHINE_FAILED')
  })

  test('what is stopped leaves no process, socket or control group', async () => {
    for (const { name } of await node.ps()) await node.ok('rm', name)
    for (const folder of [path.join(node.data, 'microvms'), path.join(node.run, 'i')]) {
      await node.until(`${folder} to be empty`, async () =>
        (await readdir(folder)).length === 0 ? true : undefined,
      )
    }
  })

  test('less memory than a kernel needs is refused before anything is deployed', async () => {
    const folder = await node.writeFiles({
      'quiver.toml': `name = "small"\nruntime = "busybox"\nisolation = "microvm"\n[limits]\nmemory = "16MiB"\n`,
    })
    const { status, stderr } = await node.quiver('deploy', folder)
    assert.equal(status, 64)
    assert.match(stderr, /memory.*32MiB/s)
  })
})

test('a node without a kernel refuses the deployment, and says what to do', async () => {
  await using node = await TestNode.startWith({ QUIVER_KERNELS: '/nowhere' })
  const folder = await node.writeFiles({
    'quiver.toml': `name = "app"\nruntime = "busybox"\nisolation = "microvm"\n`,
  })
  const { status, stderr } = await node.quiver('deploy', folder)
  assert.notEqual(status, 0)
  assert.match(stderr, /KERNEL_MISSING/)
  assert.match(stderr, /quiver kernel build/)
  assert.deepEqual(await node.ps(), [])
})
