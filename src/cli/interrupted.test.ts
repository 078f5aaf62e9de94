import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'

import { buildFakeControl } from '../../tests/fixtures/fake-control.ts'
import { temporaryFolder } from '../../tests/fixtures/images.ts'
import * as sample from '../../tests/fixtures/samples.ts'
import type { DeployDifference } from '../api/resources.ts'
import { openApiServer } from '../api/server.ts'
import { openClient } from '../client/client.ts'

import { describeDeployment } from './interrupted.ts'

const BODY = { image: sample.image.digest }

const becomes: readonly [what: string, part: Partial<DeployDifference>, message: string][] = [
  ['is live', { isUnchanged: true, revision: 3 }, 'interrupted: hello is live as revision 3'],
  [
    'is new',
    { isUnchanged: false, isNew: true },
    'interrupted: hello is not deployed yet; the node goes on with it',
  ],
  [
    'waits for its first instance',
    { isUnchanged: false, isNew: false },
    'interrupted: hello is served by revision 2 (90%), revision 1 (10%) now; the node goes on with the deployment',
  ],
]
for (const [what, part, message] of becomes) {
  test(`a deployment that ${what} is said to be so`, async () => {
    await using folder = await temporaryFolder()
    const socket = path.join(folder.path, 'api.sock')
    await using resources = new AsyncDisposableStack()
    const server = await openApiServer({
      service: buildFakeControl({ difference: async () => ({ ...sample.difference, ...part }) }),
      onFailure: () => {},
      listeners: [{ listen: { path: socket }, access: { kind: 'unix' } }],
    })
    resources.use(server)
    using client = openClient({ address: { kind: 'unix', path: socket }, token: undefined })
    const error = await describeDeployment(client, 'hello', BODY)
    assert.deepEqual([error.code, error.message], ['canceled', message])
    assert.match(error.hint ?? '', /quiver rollback hello/)
  })
}

test('of a node that does not answer nothing is claimed', async () => {
  await using folder = await temporaryFolder()
  const socket = path.join(folder.path, 'api.sock')
  using client = openClient({ address: { kind: 'unix', path: socket }, token: undefined })
  const { message } = await describeDeployment(client, 'hello', BODY)
  assert.match(message, /^interrupted: what became of hello is not known \(/)
})
