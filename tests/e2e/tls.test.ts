/** HTTPS: the certificate that a node makes for itself, and one that its operator brings. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { connect } from 'node:tls'
import { promisify } from 'node:util'

import { temporaryFolder } from '../fixtures/images.ts'

import { ROOT, TestNode } from './harness.ts'

const run = promisify(execFile)
const OK = { status: 200, body: 'https' }
/** Node.js and OpenSSL accept no wildcard right below a top-level name: only the chain is verified. */
const ANY_NAME = { checkServerIdentity: () => undefined }

const APP = {
  'quiver.toml':
    'name = "hello"\nruntime = "node@26"\ncommand = ["server.mjs"]\n[http]\nport = 8000\nroutes = ["hello.localhost", "app.example.com"]\n',
  'server.mjs': `
import { createServer } from 'node:http'
createServer(({ headers }, response) => response.end(headers['x-forwarded-proto'])).listen(8000)
`,
}

interface Pair {
  readonly key: string
  readonly cert: string
}

/** A certificate for a name, as an operator would get one. */
async function makePair(folder: string, name: string, commonName = name): Promise<Pair> {
  await mkdir(folder, { recursive: true })
  const pair = { key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem') }
  const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1'.split(
    ' ',
  )
  args.push('-keyout', pair.key, '-out', pair.cert, '-subj', `/CN=${commonName}`)
  await run('openssl', [...args, '-addext', `subjectAltName=DNS:${name}`])
  return pair
}

async function httpsPort(node: TestNode): Promise<number> {
  const listen = await readFile(path.join(node.run, 'listen'), 'utf8')
  const [, port] = /^https 127\.0\.0\.1:(\d+)$/m.exec(listen) ?? []
  return Number(port)
}

/** A request with the certificate verified against the name. */
async function get(node: TestNode, name: string, ca: Buffer, options: RequestOptions = {}) {
  const outgoing = request({
    host: '127.0.0.1',
    port: await httpsPort(node),
    servername: name,
    headers: { host: name },
    ca,
    agent: false,
    ...options,
  })
  outgoing.end()
  const [response] = await once(outgoing, 'response')
  return { status: response.statusCode, body: await text(response) }
}

/** The common name of the certificate that the node shows. */
async function shownName(node: TestNode): Promise<string | undefined> {
  const port = await httpsPort(node)
  const socket = connect({ host: '127.0.0.1', port, servername: 'x', rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  const name = subject.CN
  return Array.isArray(name) ? name[0] : name
}

suite('HTTPS', () => {
  test('with a certificate of its own for *.localhost, beside HTTP', async () => {
    await using node = await TestNode.start('--listen-https', '127.0.0.1:0')
    await node.deployFiles(APP)
    const ca = await readFile(path.join(node.data, 'tls', 'cert.pem'))
    assert.deepEqual(await get(node, 'hello.localhost', ca, ANY_NAME), OK)
    assert.equal((await node.get('hello')).body, 'http')
    const { subjectAltName = '' } = new X509Certificate(ca)
    assert.match(subjectAltName, /DNS:localhost, DNS:\*\.localhost/)
    // It is made once: whoever trusts it goes on trusting it.
    await node.down()
    await node.up()
    assert.deepEqual(await get(node, 'hello.localhost', ca, ANY_NAME), OK)
  })

  test("with the operator's certificate, which a restart reads again", async () => {
    await using folder = await temporaryFolder()
    const first = await makePair(path.join(folder.path, 'first'), 'app.example.com', 'first')
    const second = await makePair(path.join(folder.path, 'second'), 'app.example.com', 'second')
    const used = {
      key: path.join(folder.path, 'key.pem'),
      cert: path.join(folder.path, 'cert.pem'),
    }
    const use = async (pair: Pair): Promise<void> => {
      await copyFile(pair.key, used.key)
      await copyFile(pair.cert, used.cert)
    }
    await use(first)
    const tls = ['--tls-key', used.key, '--tls-certificate', used.cert]
    await using node = await TestNode.start('--listen-https', '127.0.0.1:0', ...tls)
    await node.deployFiles(APP)
    const answer = await get(node, 'app.example.com', await readFile(first.cert))
    assert.deepEqual(answer, OK)
    assert.equal(await shownName(node), 'first')
    await use(second)
    await node.down()
    await node.up()
    assert.equal(await shownName(node), 'second')
  })

  test('files that are no pair are named before anything starts', async () => {
    await using folder = await temporaryFolder()
    const one = await makePair(path.join(folder.path, 'one'), 'one.example.com')
    const other = await makePair(path.join(folder.path, 'other'), 'other.example.com')
    const garbage = path.join(folder.path, 'garbage.pem')
    await writeFile(garbage, 'not PEM')
    const missing = path.join(folder.path, 'missing.pem')
    const cases: readonly (readonly [key: string, cert: string, said: string])[] = [
      [missing, one.cert, `tls.key is ${missing}, but there is no such file`],
      [one.key, missing, `tls.certificate is ${missing}, but there is no such file`],
      [garbage, one.cert, `${garbage} is no PEM private key`],
      [one.key, garbage, `${garbage} is no PEM certificate`],
      [other.key, one.cert, `the key ${other.key} is not that of ${one.cert}`],
    ]
    const data = path.join(folder.path, 'data')
    for (const [key, cert, said] of cases) {
      const listen = ['--listen-http', '127.0.0.1:0', '--listen-https', '127.0.0.1:0']
      const args = ['up', ...listen, '--tls-key', key, '--tls-certificate', cert]
      const child = spawn(path.join(ROOT, 'bin/quiver'), args, {
        env: { ...process.env, QUIVER_DATA: data, NO_COLOR: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const [stderr] = await Promise.all([text(child.stderr), once(child, 'exit')])
      assert.equal(child.exitCode, 64, stderr)
      assert.ok(stderr.includes(said), stderr)
      assert.match(stderr, /CERTIFICATE_INVALID/)
    }
  })
})
