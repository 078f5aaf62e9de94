/** Chooses what answers the requests of a module, by its kind. */

import { QuiverError } from '../../core/error.ts'

import { CommandRunner } from './command.ts'
import { FunctionRunner } from './function.ts'
import { ReactorRunner } from './reactor.ts'
import type { Guest, Runner } from './runner.ts'

/** @throws QuiverError when the module cannot answer requests in the way that is asked for */
export function createRunner(guest: Guest): Runner {
  const { kind } = guest
  switch (kind.kind) {
    case 'command':
      return new CommandRunner(guest)
    case 'function':
      return new FunctionRunner(guest, guest.plan.entry ?? kind.entry)
    case 'reactor':
      return guest.plan.entry === null
        ? new ReactorRunner()
        : new FunctionRunner(guest, guest.plan.entry)
    case 'component':
      throw new QuiverError(
        'unimplemented',
        'COMPONENT_UNSUPPORTED',
        'components cannot be served yet',
        { hint: 'Build a core module for wasip1.' },
      )
    default:
      return kind satisfies never
  }
}
