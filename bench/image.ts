/** How small an image is, and what a change of one line in a large application costs until it is deployed. */

import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { quantile, report } from './measure.ts'
import { BenchNode, ALWAYS_ON } from './node.ts'
import type { BenchOptions } from './suite.ts'

const FILES = 3000
const FILES_PER_FOLDER = 100
const RUNS = 10

const MANIFEST = `name = "large"
runtime = "node@26"
command = ["src/0/0.mjs"]

[http]
port = 8080
`

/** What `quiver deploy --json` prints. */
interface Deployed {
  readonly imageBytes: number
  readonly filesSent: number
  readonly bytesSent: number
}

export async function run({ n = RUNS }: BenchOptions): Promise<void> {
  await using node = await BenchNode.start()
  const hello = await node.deployExample('node-hello', ALWAYS_ON)
  const { imageBytes } = await deploy(node, hello)
  report({ name: 'image.node-hello.bytes', value: imageBytes, unit: 'bytes', n: 1 })

  const folder = path.join(node.processes.folder, 'large')
  await writeApplication(folder)
  const [seconds, bytesSent, bytesWritten]: [number[], number[], number[]] = [[], [], []]
  const startMs = performance.now()
  await deploy(node, folder)
  const firstS = (performance.now() - startMs) / 1000
  const control = await node.processes.pid('control')
  for (let index = 0; index < n; index++) {
    await appendFile(path.join(folder, 'src/7/42.mjs'), `// change ${index}\n`)
    const before = await writtenBytes(control)
    const beganMs = performance.now()
    const result = await deploy(node, folder)
    seconds.push((performance.now() - beganMs) / 1000)
    bytesSent.push(result.bytesSent)
    bytesWritten.push((await writtenBytes(control)) - before)
  }
  const figure = { unit: 's', n } as const
  report({
    ...figure,
    name: 'image.redeploy.p50',
    value: quantile(seconds, 0.5),
    peer: 'the first deployment',
    peerValue: firstS,
  })
  report({ ...figure, name: 'image.redeploy.max', value: Math.max(...seconds) })
  report({ name: 'image.redeploy-sent.bytes', value: quantile(bytesSent, 0.5), unit: 'bytes', n })
  report({
    name: 'image.redeploy-written.bytes',
    value: quantile(bytesWritten, 0.5),
    unit: 'bytes',
    n,
  })
}

async function deploy(node: BenchNode, folder: string): Promise<Deployed> {
  return JSON.parse(await node.processes.ok('deploy', folder, '--json'))
}

async function writeApplication(folder: string): Promise<void> {
  await mkdir(folder)
  await writeFile(path.join(folder, 'quiver.toml'), MANIFEST)
  for (let index = 0; index < FILES; index++) {
    const parent = path.join(folder, 'src', String(Math.floor(index / FILES_PER_FOLDER)))
    await mkdir(parent, { recursive: true })
    const content = `export const value = ${index}\n`.repeat(40)
    await writeFile(path.join(parent, `${index % FILES_PER_FOLDER}.mjs`), content)
  }
}

/** What a process made the kernel write to disks, metadata aside. */
async function writtenBytes(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8')
  return Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? 0)
}
