import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { temporaryFolder } from '../../tests/fixtures/images.ts'

import { claimUidRange, type UidRange } from './uid-range.ts'

const run = promisify(execFile)
const BASE = 300_000

/** Folders for claims and for the data of so many nodes. */
async function openHost(nodes: number) {
  const folder = await temporaryFolder()
  const claims = path.join(folder.path, 'claims')
  const data = Array.from({ length: nodes }, (_, index) => path.join(folder.path, `node-${index}`))
  for (const one of data) await mkdir(one)
  return { claims, data, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

function assertApart(ranges: readonly UidRange[]): void {
  const sorted = ranges.toSorted((a, b) => a.first - b.first)
  for (const [index, { first, size }] of sorted.entries()) {
    const next = sorted[index + 1]
    assert.ok(next === undefined || first + size <= next.first, JSON.stringify(sorted))
  }
}

test('a node keeps its range, and no other has a part of it', async () => {
  await using host = await openHost(3)
  const [a = '', b = '', c = ''] = host.data
  const first = await claimUidRange(a, BASE, 100, host.claims)
  assert.deepEqual(first, { first: BASE, size: 100 })
  const ranges = [
    first,
    await claimUidRange(b, BASE, 100, host.claims),
    await claimUidRange(c, BASE + 50, 1000, host.claims),
  ]
  assertApart(ranges)
  // Of the size that it had, whatever is asked for now.
  assert.deepEqual(await claimUidRange(a, BASE + 7, 10, host.claims), first)
})

test('the range of a node that is gone is free again', async () => {
  await using host = await openHost(2)
  const [a = '', b = ''] = host.data
  const range = await claimUidRange(a, BASE, 100, host.claims)
  await rm(a, { recursive: true })
  assert.deepEqual(await claimUidRange(b, BASE, 100, host.claims), range)
})

test('a claim that was cut by a crash takes nothing', async () => {
  await using host = await openHost(1)
  const [a = ''] = host.data
  await mkdir(host.claims)
  await writeFile(path.join(host.claims, String(BASE)), '100\n')
  await writeFile(path.join(host.claims, `${BASE + 100}.new`), '1')
  assert.deepEqual(await claimUidRange(a, BASE, 100, host.claims), { first: BASE, size: 100 })
})

test('nodes that start at the same time never share', async () => {
  await using host = await openHost(8)
  // Each process first meets a claim that is free again, which only one of them may take.
  await mkdir(host.claims)
  await writeFile(path.join(host.claims, String(BASE)), '100\n/no/such/node\n')
  const module = path.join(import.meta.dirname, 'uid-range.ts')
  const script = `
    const { claimUidRange } = await import(${JSON.stringify(module)})
    const [data, size, claims] = process.argv.slice(1)
    console.log(JSON.stringify(await claimUidRange(data, ${BASE}, Number(size), claims)))`
  const ranges = await Promise.all(
    host.data.map(async (data, index): Promise<UidRange> => {
      const size = String(index % 2 === 0 ? 100 : 70)
      const args = ['--input-type=module', '-e', script, '--', data, size, host.claims]
      const { stdout } = await run(process.execPath, args)
      return JSON.parse(stdout)
    }),
  )
  assertApart(ranges)
  assert.equal((await readdir(host.claims)).filter((name) => /^\d+$/.test(name)).length, 8)
})

test('without a free range it says so', async () => {
  await using host = await openHost(2)
  const [a = '', b = ''] = host.data
  await claimUidRange(a, BASE, 1_000_000, host.claims)
  await assert.rejects(claimUidRange(b, BASE, 100, host.claims), { reason: 'UIDS_EXHAUSTED' })
})
