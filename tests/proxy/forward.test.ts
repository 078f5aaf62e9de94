import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ask, buildTask, openBench } from './harness.ts'

test('a request goes to the running instance of the task that its host names', async () => {
  await using bench = await openBench()
  const instance = await bench.serve('i1', (request, response) => {
    response.setHeader('X-Seen', request.headers['x-forwarded-for'] ?? '')
    response.end(`hello ${request.url}`)
  })
  await bench.control.publish(buildTask({ revisions: [{ instances: [instance] }] }))
  const answer = await ask(bench, '/a?b=1')
  assert.equal(answer.status, 200)
  assert.equal(answer.text, 'hello /a?b=1')
})
