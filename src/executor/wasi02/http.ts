/** `wasi:http`: the functions of its interfaces, over the classes beside this. */

import type { HostCall } from '../component/host.ts'

import { FutureTrailers, type IncomingBody, type OutgoingBody } from './http-body.ts'
import {
  type FutureIncomingResponse,
  type IncomingResponse,
  OutgoingRequest,
  RequestOptions,
} from './http-client.ts'
import { HttpBroken, type Tagged } from './http-errors.ts'
import { FIELDS, type Fields } from './http-fields.ts'
import { type IncomingRequest, OutgoingResponse, type ResponseOutparam } from './http-server.ts'
import type { IoError } from './io.ts'
import type { World } from './world.ts'

type Interface = Readonly<Record<string, HostCall<World>>>

const INCOMING: Interface = {
  '[method]incoming-request.method': (_world, it: IncomingRequest) => it.method,
  '[method]incoming-request.path-with-query': (_world, it: IncomingRequest) => it.pathWithQuery,
  '[method]incoming-request.scheme': (_world, it: IncomingRequest) => it.scheme,
  '[method]incoming-request.authority': (_world, it: IncomingRequest) => it.authority,
  '[method]incoming-request.headers': (_world, it: IncomingRequest) => it.headers,
  '[method]incoming-request.consume': (_world, it: IncomingRequest) => it.consume(),
  '[method]incoming-response.status': (_world, it: IncomingResponse) => it.status,
  '[method]incoming-response.headers': (_world, it: IncomingResponse) => it.headers,
  '[method]incoming-response.consume': (_world, it: IncomingResponse) => it.consume(),
  '[method]incoming-body.stream': (_world, it: IncomingBody) => it.stream(),
  '[static]incoming-body.finish': (_world, it: IncomingBody) => new FutureTrailers(it),
  '[method]future-trailers.subscribe': (_world, it: FutureTrailers) => it.subscribe(),
  '[method]future-trailers.get': (_world, it: FutureTrailers) => it.get(),
  '[method]future-incoming-response.subscribe': (_world, it: FutureIncomingResponse) =>
    it.subscribe(),
  '[method]future-incoming-response.get': (_world, it: FutureIncomingResponse) => it.get(),
}

const RESPONSE: Interface = {
  '[constructor]outgoing-response': ({ answerBytesMax }, headers: Fields) =>
    new OutgoingResponse(headers, answerBytesMax),
  '[method]outgoing-response.status-code': (_world, it: OutgoingResponse) => it.status,
  '[method]outgoing-response.set-status-code': (_world, it: OutgoingResponse, status: number) =>
    it.setStatus(status),
  '[method]outgoing-response.headers': (_world, it: OutgoingResponse) => it.headers.freeze(),
  '[method]outgoing-response.body': (_world, it: OutgoingResponse) => it.takeBody(),
  '[method]outgoing-body.write': (_world, it: OutgoingBody) => it.write(),
  '[static]outgoing-body.finish': (_world, it: OutgoingBody, trailers: Fields | undefined) =>
    it.finish(trailers),
  '[static]response-outparam.set': (_world, it: ResponseOutparam, response: Tagged) =>
    it.set(response),
}

const REQUEST: Interface = {
  '[constructor]outgoing-request': (_world, headers: Fields) => new OutgoingRequest(headers),
  '[method]outgoing-request.body': (_world, it: OutgoingRequest) => it.takeBody(),
  '[method]outgoing-request.method': (_world, it: OutgoingRequest) => it.method,
  '[method]outgoing-request.set-method': (_world, it: OutgoingRequest, method: Tagged) =>
    it.setMethod(method),
  '[method]outgoing-request.path-with-query': (_world, it: OutgoingRequest) => it.pathWithQuery,
  '[method]outgoing-request.set-path-with-query': (
    _world,
    it: OutgoingRequest,
    path: string | undefined,
  ) => it.setPathWithQuery(path),
  '[method]outgoing-request.scheme': (_world, it: OutgoingRequest) => it.scheme,
  '[method]outgoing-request.set-scheme': (
    _world,
    it: OutgoingRequest,
    scheme: Tagged | undefined,
  ) => it.setScheme(scheme),
  '[method]outgoing-request.authority': (_world, it: OutgoingRequest) => it.authority,
  '[method]outgoing-request.set-authority': (
    _world,
    it: OutgoingRequest,
    authority: string | undefined,
  ) => it.setAuthority(authority),
  '[method]outgoing-request.headers': (_world, it: OutgoingRequest) => it.headers.freeze(),
}

function optionFunctions(name: string): Interface {
  return {
    [`[method]request-options.${name}`]: (_world, it: RequestOptions) => it.durations.get(name),
    [`[method]request-options.set-${name}`]: (
      _world,
      it: RequestOptions,
      timeout: bigint | undefined,
    ) => {
      if (timeout === undefined) it.durations.delete(name)
      else it.durations.set(name, timeout)
    },
  }
}

export const HTTP_TYPES: Interface = {
  ...FIELDS,
  ...INCOMING,
  ...RESPONSE,
  ...REQUEST,
  '[constructor]request-options': () => new RequestOptions(),
  ...optionFunctions('connect-timeout'),
  ...optionFunctions('first-byte-timeout'),
  ...optionFunctions('between-bytes-timeout'),
  'http-error-code': (_world, { cause }: IoError) =>
    cause instanceof HttpBroken ? cause.errorCode : undefined,
}

export const OUTGOING_HANDLER: Interface = {
  handle: (world, request: OutgoingRequest, options: RequestOptions | undefined) =>
    request.send(world, options),
}
