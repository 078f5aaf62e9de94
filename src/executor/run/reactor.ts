/** A module or component whose exports are called by name (invoke.ts). It answers no requests. */

import { QuiverError } from '../../core/error.ts'

import type { Runner } from './runner.ts'

export class ReactorRunner implements Runner {
  answer(): never {
    const message = 'this module answers no requests: its exports are called by name'
    throw new QuiverError('not_found', 'MODULE_ANSWERS_NO_REQUESTS', message, {
      hint: 'Call an export with "quiver invoke NAME --export EXPORT -- 1 2", or name one as entry under [wasm].',
    })
  }
}
