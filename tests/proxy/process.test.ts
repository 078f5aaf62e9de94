import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { ensureSelfSigned } from '../../src/proxy/certificate.ts'

import { buildInstance, buildTask, FakeControl } from './harness.ts'

const run = promisify(execFile)
const ROOT = path.join(import.meta.dirname, '../..')
/** A uid that owns nothing. */
const UID = 65_533

/** Starts a program with listening sockets, as the supervisor does. */
const HAND_OVER = `
import os, socket, sys
def listen(kind, address):
    s = socket.socket(kind, socket.SOCK_STREAM)
    s.bind(address)
    s.listen(64)
    return s
sockets = [listen(socket.AF_INET, ('127.0.0.1', 0)), listen(socket.AF_UNIX, sys.argv[1]), listen(socket.AF_INET, ('127.0.0.1', 0))]
os.write(1, b'%d %d' % (sockets[0].getsockname()[1], sockets[2].getsockname()[1]))
copies = [os.dup2(os.dup(s.fileno()), 20 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(copies): os.dup2(fd, 3 + i)
os.environ.update(LISTEN_FDS='3', LISTEN_FDNAMES='http:tunnel:https', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
`

test('the proxy process serves HTTP and HTTPS without privileges, and drains when told', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-proxy-'))
  await chmod(folder, 0o711)
  const control = new FakeControl()
  const children: ChildProcess[] = []
  const instance = createServer((request, response) => {
    response.end(request.headers['x-forwarded-proto'])
  })
  try {
    const tls = await ensureSelfSigned(path.join(folder, 'tls'))
    assert.equal((await stat(tls.key)).mode & 0o077, 0)
    await control.listen(path.join(folder, 'link.sock'))
    const socketPath = path.join(folder, 'i1.sock')
    instance.listen(socketPath)
    await once(instance, 'listening')
    // The proxy reaches both as a user who owns neither.
    await chmod(path.join(folder, 'link.sock'), 0o666)
    await chmod(socketPath, 0o666)
    const endpoint = { kind: 'socket', path: socketPath } as const
    const revisions = [{ instances: [buildInstance({ id: 'i1', endpoint })] }]
    control.table = [buildTask({ routes: ['localhost'], revisions })]

    const script = path.join(folder, 'hand-over.py')
    await writeFile(script, HAND_OVER)
    const isRoot = process.getuid?.() === 0
    const config = { run: folder, tls, ...(isRoot ? { uid: UID, gid: UID } : {}) }
    const program = [process.execPath, path.join(ROOT, 'src/daemon/proxy.ts')]
    const args = [script, path.join(folder, 'tunnel.sock'), ...program, JSON.stringify(config)]
    const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    const [line] = await once(child.stdout, 'data')
    const [http = '', https = ''] = String(line).trim().split(' ')

    assert.equal((await run('curl', ['-sS', `http://localhost:${http}/`])).stdout, 'http')
    const ca = await readFile(tls.cert)
    const [response] = await once(
      httpsRequest({ host: 'localhost', port: https, ca }).end(),
      'response',
    )
    assert.equal(await text(response), 'https')
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
    if (isRoot) assert.match(status, new RegExp(`^Uid:\\t${UID}\\t${UID}\\t${UID}\\t${UID}$`, 'm'))

    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await control.close()
    instance.close()
    instance.closeAllConnections()
    await rm(folder, { recursive: true, force: true })
  }
})
