// A web server, a child, a worker that shares memory, a watched folder and a stream of random bytes, in one process.
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, watch, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection, createServer as createSocketServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { gzipSync, gunzipSync } from 'node:zlib'

if (!isMainThread) {
  Atomics.add(new Int32Array(workerData), 0, 7)
} else if (process.argv[2] === 'child') {
  process.once('message', (text) => process.send(text.toUpperCase(), () => process.disconnect()))
} else {
  await main()
}

async function main() {
  const server = createServer((request, response) => response.end(`hello ${request.url}`))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/you`)
  say('http', answer.status, await answer.text())
  server.closeAllConnections()
  server.close()

  const memory = new SharedArrayBuffer(4)
  await once(new Worker(new URL(import.meta.url), { workerData: memory }), 'exit')
  say('worker', new Int32Array(memory)[0])

  const child = fork(process.argv[1], ['child'])
  child.send('ipc')
  const [text] = await once(child, 'message')
  const [status] = await once(child, 'exit')
  say('child', text, status)

  const folder = mkdtempSync('/tmp/node-')
  const watcher = watch(folder)
  writeFileSync(`${folder}/file`, 'x')
  const [, name] = await once(watcher, 'change')
  say('watch', name)
  watcher.close()

  const listener = createSocketServer((socket) => socket.end('unix'))
  await once(listener.listen(`${folder}/socket`), 'listening')
  const [chunk] = await once(createConnection(`${folder}/socket`), 'data')
  say('socket', String(chunk))
  listener.close()

  const caught = once(process, 'SIGUSR2')
  process.kill(process.pid, 'SIGUSR2')
  await caught
  await delay(5)
  say('zlib', gunzipSync(gzipSync('squeezed')).toString(), randomUUID().length)
}

function say(...words) {
  process.stdout.write(`${words.join(' ')}\n`)
}
