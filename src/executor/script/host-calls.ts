/** From a letter and values of the engine to a host call, and back. */

import type { Engine, Value } from './engine.ts'
import * as pure from './pure-calls.ts'
import type { ScriptSession } from './session.ts'

type Args = readonly Value[]
type Result = string | number | boolean | Uint8Array | undefined

interface HostCall {
  readonly parameters: number
  /** Returns a number as a number of the script. */
  readonly run: (session: ScriptSession, engine: Engine, args: Args) => Result
}

/** By the names that `Host` has; the order makes the letters. */
const CALLS: Readonly<Record<string, HostCall>> = {
  log: {
    parameters: 2,
    run: (session, engine, [level = 0, text = 0]) => {
      session.world.log(engine.toText(level), engine.toText(text))
      return undefined
    },
  },
  respond: {
    parameters: 3,
    run: (session, engine, [status = 0, headers = 0, body = 0]) => {
      const fields = splitLines(engine.toText(headers))
      const number = engine.toNumber(status)
      withBytes(engine, body, (bytes) => session.world.respond(number, fields, bytes))
      return undefined
    },
  },
  done: {
    parameters: 0,
    run: (session) => {
      session.finish()
      return undefined
    },
  },
  fail: {
    parameters: 2,
    run: (session, engine, [message = 0, trace = 0]) => {
      session.fail(engine.toText(message), engine.toText(trace))
      return undefined
    },
  },
  timer: {
    parameters: 2,
    run: (session, engine, [id = 0, delay = 0]) =>
      session.startTimer(engine.toNumber(id), engine.toNumber(delay)),
  },
  cancel: {
    parameters: 1,
    run: (session, engine, [id = 0]) => {
      session.stopTimer(engine.toNumber(id))
      return undefined
    },
  },
  fetch: {
    parameters: 5,
    run: (session, engine, [id = 0, url = 0, method = 0, headers = 0, body = 0]) => {
      const request = {
        method: engine.toText(method),
        rawHeaders: splitLines(engine.toText(headers)),
        body: withBytes(engine, body, (bytes) => Uint8Array.from(bytes)),
      }
      return session.fetch(engine.toNumber(id), engine.toText(url), request)
    },
  },
  url: {
    parameters: 2,
    run: (_session, engine, [text = 0, base = 0]) =>
      pure.parseUrl(engine.toText(text), optionalText(engine, base)),
  },
  urlWith: {
    parameters: 3,
    run: (_session, engine, [href = 0, part = 0, value = 0]) =>
      pure.replaceUrlPart(engine.toText(href), engine.toText(part), engine.toText(value)),
  },
  parseQuery: {
    parameters: 1,
    run: (_session, engine, [text = 0]) => pure.parseQuery(engine.toText(text)),
  },
  formatQuery: {
    parameters: 1,
    run: (_session, engine, [pairs = 0]) => pure.formatQuery(engine.toText(pairs)),
  },
  encode: {
    parameters: 1,
    run: (_session, engine, [text = 0]) => engine.withUtf8(text, (bytes) => Uint8Array.from(bytes)),
  },
  decode: {
    parameters: 3,
    run: (_session, engine, [bytes = 0, label = 0, flags = 0]) =>
      pure.decode(engine.viewBytes(bytes), engine.toText(label), engine.toText(flags)),
  },
  encoding: {
    parameters: 1,
    run: (_session, engine, [label = 0]) => pure.encodingOf(engine.toText(label)),
  },
  random: {
    parameters: 1,
    run: (_session, engine, [count = 0]) => pure.randomBytes(engine.toNumber(count)),
  },
  now: { parameters: 0, run: (session) => session.nowMs },
  input: { parameters: 0, run: (session) => session.world.input() },
  exit: {
    parameters: 1,
    run: (session, engine, [status = 0]) => {
      session.exit(engine.toNumber(status))
    },
  },
}

const BASE = 65
const TABLE = Object.values(CALLS)
const EMPTY = new Uint8Array(0)

/** Puts the host calls into the engine. @returns the object that has them */
export function installHostCalls(engine: Engine): Value {
  const object = engine.newObject()
  Object.entries(CALLS).forEach(([name, { parameters }], index) => {
    const letter = String.fromCharCode(BASE + index)
    engine.setProperty(object, name, engine.newHostFunction(letter, parameters))
  })
  return object
}

/** @returns the value, or 0 for undefined. @throws whatever ends the script */
export function runHostCall(
  session: ScriptSession,
  engine: Engine,
  letter: string,
  args: Args,
): Value {
  const call = TABLE[letter.charCodeAt(0) - BASE]
  const result = call?.run(session, engine, args)
  if (result === undefined) return 0
  if (typeof result === 'string') return engine.newString(result)
  if (typeof result === 'number') return engine.newNumber(result)
  return typeof result === 'boolean' ? engine.newBoolean(result) : engine.newBytes(result)
}

function withBytes<T>(engine: Engine, value: Value, use: (bytes: Uint8Array) => T): T {
  if (value === 0 || engine.isUndefined(value)) return use(EMPTY)
  return engine.isString(value) ? engine.withUtf8(value, use) : use(engine.viewBytes(value))
}

function optionalText(engine: Engine, value: Value): string | undefined {
  return value === 0 || engine.isUndefined(value) ? undefined : engine.toText(value)
}

function splitLines(text: string): readonly string[] {
  return text === '' ? [] : text.split('\n')
}
