/** What a route is: validated input in, the output of its endpoint out. Status numbers and bytes are the server's. */

import type { Readable } from 'node:stream'

import type { ENDPOINTS, EndpointId, Input, Output } from '../endpoints.ts'
import type { ControlService } from '../service.ts'

type KindOf<I extends EndpointId> = (typeof ENDPOINTS)[I]['kind']

/** A call after validation. */
export type Call<I extends EndpointId> = Input<I> & {
  /** Aborts when the caller has gone. */
  readonly signal: AbortSignal
  /** The body of an upload; empty otherwise. */
  readonly content: Readable
}

export type Answer<I extends EndpointId> =
  KindOf<I> extends 'lines' ? AsyncIterable<Output<I>> : Promise<Output<I>>

export type Handlers<I extends EndpointId> = {
  readonly [K in I]: (service: ControlService, call: Call<K>) => Answer<K>
}
