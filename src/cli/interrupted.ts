/** What a deployment that Ctrl-C cut short has come to: whoever asks for an end wants to know what runs now. */

import type { Client } from '../client/client.ts'
import type { DeployRequest } from '../client/resources.ts'
import { QuiverError } from '../core/error.ts'

import { formatTraffic } from './format.ts'

/** Somebody has pressed Ctrl-C. */
const ANSWER_TIMEOUT_MS = 2000

/** Before the node was asked to deploy. */
export function nothingDeployed(): QuiverError {
  return new QuiverError('canceled', 'INTERRUPTED', 'interrupted: nothing was deployed')
}

/**
 * After it was asked: the node goes on with what it has begun, and only it knows how far it is.
 *
 * @param name  of the task
 */
export async function describeDeployment(
  client: Client,
  name: string,
  body: DeployRequest,
): Promise<QuiverError> {
  const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
  const hint = `See it with "quiver describe ${name}"; "quiver rollback ${name}" undoes it once it is live.`
  try {
    // What would not change is what runs.
    const { isNew, isUnchanged, revision } = await client.call('difference', { body }, signal)
    if (isUnchanged) {
      const undo = `Undo it with "quiver rollback ${name}".`
      return interrupted(`${name} is live as revision ${revision}`, undo)
    }
    if (isNew) return interrupted(`${name} is not deployed yet; the node goes on with it`, hint)
    const { traffic } = await client.call('getTask', { params: { name } }, signal)
    const now = `${name} is served by ${formatTraffic(traffic)} now; the node goes on with the deployment`
    return interrupted(now, hint)
  } catch (thrown) {
    const why = QuiverError.from(thrown).message
    return interrupted(`what became of ${name} is not known (${why})`, hint)
  }
}

function interrupted(what: string, hint: string): QuiverError {
  return new QuiverError('canceled', 'INTERRUPTED', `interrupted: ${what}`, { hint })
}
