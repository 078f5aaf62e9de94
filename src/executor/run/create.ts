/** Chooses what answers the requests of a module, by its kind. */

import { AssertionFailed } from '../../core/assert.ts'

import { CommandRunner } from './command.ts'
import { FunctionRunner } from './function.ts'
import { ReactorRunner } from './reactor.ts'
import { ReusedFunctionRunner } from './reused.ts'
import type { Guest, Runner } from './runner.ts'

/**
 * Also for an engine with its script, which is loaded, and for components: the code for either is loaded for its sake alone.
 *
 * @throws QuiverError as `createRunner`, and whatever is wrong with the script
 */
export async function openRunner(guest: Guest): Promise<Runner> {
  if (guest.kind.kind === 'component') {
    if (guest.kind.world === null) return new ReactorRunner()
    const { ComponentRunner } = await import('./component.ts')
    return new ComponentRunner(guest)
  }
  if (guest.kind.kind !== 'engine') return createRunner(guest)
  const { ScriptRunner } = await import('./script.ts')
  return new ScriptRunner(guest)
}

/** @throws QuiverError when the module cannot answer requests in the way that is asked for */
export function createRunner(guest: Guest): Runner {
  const { kind } = guest
  switch (kind.kind) {
    case 'command':
      return new CommandRunner(guest)
    case 'function':
      return createFunction(guest, guest.plan.entry ?? kind.entry)
    case 'reactor':
      return guest.plan.entry === null
        ? new ReactorRunner()
        : createFunction(guest, guest.plan.entry)
    case 'engine':
    case 'component':
      throw new AssertionFailed(`a module of kind ${kind.kind} is opened by openRunner`)
    default:
      return kind satisfies never
  }
}

function createFunction(guest: Guest, entry: string | null): Runner {
  const { isReused } = guest.plan
  return isReused ? new ReusedFunctionRunner(guest, entry) : new FunctionRunner(guest, entry)
}
