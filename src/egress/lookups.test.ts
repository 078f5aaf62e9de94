import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { Lookups } from './lookups.ts'

/** Look-ups that end when the test says so. */
function openLookups() {
  const asked = new Map<string, PromiseWithResolvers<readonly string[]>>()
  const lookups = new Lookups((name) => {
    const answer = Promise.withResolvers<readonly string[]>()
    asked.set(name, answer)
    return answer.promise
  })
  const ask = (task: string, name: string, signal = new AbortController().signal) =>
    lookups.resolve(task, name, signal)
  const answer = (name: string): void => asked.get(name)?.resolve([`address of ${name}`])
  return { asked, ask, answer }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

suite('Lookups', () => {
  test('a task whose names are never answered keeps no place of another', async () => {
    const { asked, ask, answer } = openLookups()
    for (let index = 0; index < 100; index++) void ask('hostile', `h${index}`)
    await turn()
    assert.deepEqual([...asked.keys()], ['h0', 'h1', 'h2', 'h3'])
    const other = ask('other', 'name')
    await turn()
    answer('name')
    assert.deepEqual(await other, ['address of name'])
  })

  test('what waits comes in its order, when a place is left', async () => {
    const { asked, ask, answer } = openLookups()
    const all = Array.from({ length: 6 }, (_, index) => ask('task', `n${index}`))
    await turn()
    asked.get('n2')?.reject(new Error('unknown'))
    await assert.rejects(async () => await all[2], /unknown/)
    await turn()
    assert.deepEqual([...asked.keys()], ['n0', 'n1', 'n2', 'n3', 'n4'])
    for (const name of ['n0', 'n1', 'n3', 'n4']) answer(name)
    await turn()
    answer('n5')
    assert.deepEqual(await all[5], ['address of n5'])
  })

  test('who gives up waiting takes no place', async () => {
    const { asked, ask, answer } = openLookups()
    for (let index = 0; index < 4; index++) void ask('task', `n${index}`)
    const controller = new AbortController()
    const late = ask('task', 'late', controller.signal)
    controller.abort(new Error('too late'))
    await assert.rejects(late, /too late/)
    const next = ask('task', 'next')
    answer('n0')
    await turn()
    answer('next')
    assert.deepEqual(await next, ['address of next'])
    assert.ok(!asked.has('late'))
  })

  test('all places are there again after very many look-ups', async () => {
    const { asked, ask, answer } = openLookups()
    for (let round = 0; round < 50; round++) {
      const all = Array.from({ length: 9 }, (_, index) => ask('task', `${round}.${index}`))
      for (let index = 0; index < 9; index++) {
        await turn()
        answer(`${round}.${index}`)
      }
      await Promise.all(all)
    }
    assert.equal(asked.size, 450)
  })
})
