/**
 * The text that makes a JavaScript engine a place for scripts: the classes and functions of web/, in one scope of their own, and what of
 * them becomes global. The text comes from the functions themselves, so they are checked like all other code.
 */

import { Body, BodyStream } from './web/body.ts'
import { isIterable, pairsOf, textOf } from './web/convert.ts'
import { TextDecoder, TextEncoder } from './web/encoding.ts'
import * as entry from './web/entry.ts'
import { Console, Crypto, random, requireRequest, startTimer, stopTimer } from './web/globals.ts'
import { Headers, HeaderText } from './web/headers.ts'
import * as inspecting from './web/inspect.ts'
import { Head, Request } from './web/request.ts'
import { Response } from './web/response.ts'
import { URLSearchParams } from './web/url-search-params.ts'
import { URL } from './web/url.ts'

/** Those that others extend come first. */
const WEB = [HeaderText, Headers, URLSearchParams, URL, BodyStream, Body, Head, Request, Response]
const CLASSES = [...WEB, TextEncoder, TextDecoder, Console, Crypto]
const GLOBALS = [isIterable, pairsOf, textOf, random, requireRequest, startTimer, stopTimer]
const FUNCTIONS = [...Object.values(inspecting), ...GLOBALS, ...Object.values(entry)]

/** What the host calls. */
const ENTRIES = [
  'adopt',
  'begin',
  'handle',
  'listExports',
  'callExport',
  'wake',
  'settle',
  'describeError',
] as const
export type EntryName = (typeof ENTRIES)[number]

/** The name of the prelude in traces, which leave out its lines. */
export const PRELUDE_NAME = 'quiver:prelude'

/** What a script is told at its start. */
export interface Environment {
  readonly env: Readonly<Record<string, string>>
  /** `process.argv` of one that runs and ends; null: it answers requests, and has no `process`. */
  readonly args: readonly string[] | null
}

/** An expression: a function of the host's calls and of an `Environment` as JSON, which returns what the host calls. */
export function buildPrelude(): string {
  return `((host, environment) => { 'use strict'
const state = { isServing: false, handler: undefined, exports: {}, env: {}, nextId: 1,
  timers: new Map(), fetches: new Map(), seeds: new Int32Array(0), waiting: 0 }
${[...CLASSES, ...FUNCTIONS].map(String).join('\n')}
const { env, args } = JSON.parse(environment)
state.env = Object.freeze(env)
Math.random = random
const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false })
for (const one of [Headers, URLSearchParams, URL, Request, Response, TextEncoder, TextDecoder]) define(one.name, one)
define('console', new Console())
define('crypto', new Crypto())
define('performance', { now: () => host.now(), timeOrigin: 0 })
define('fetch', (input, init) => fetchOut(input, init))
define('setTimeout', (callback, delay, ...args) => startTimer(callback, delay, args, false))
define('setInterval', (callback, delay, ...args) => startTimer(callback, delay, args, true))
define('clearTimeout', stopTimer)
define('clearInterval', stopTimer)
define('self', globalThis)
if (args !== null) define('process', { env: state.env, argv: args, exitCode: undefined,
  stdin: new Body(new BodyStream(async () => host.input())),
  exit(status) { host.exit(Number(status ?? this.exitCode ?? 0)) } })
return { ${ENTRIES.join(', ')} }
})`
}
