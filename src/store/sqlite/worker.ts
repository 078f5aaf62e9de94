/** The thread that owns the SQLite connection, so that an fsync never holds the event loop. Nothing is decided here. */

import { parentPort } from 'node:worker_threads'

import { assert } from '../../core/assert.ts'

import { StateDatabase } from './database.ts'
import { sqliteError } from './errors.ts'
import { packSnapshot } from './packed.ts'
import {
  failed,
  ok,
  type Answer,
  type FromWorker,
  type OpenOptions,
  type Outcome,
  type ReadRequest,
  type Request,
  type ToWorker,
  type WriteRequest,
} from './protocol.ts'
import { TransactionLog } from './transaction.ts'

const port = parentPort
assert(port !== null, 'the worker is started as a thread')

let database: StateDatabase | undefined
let log: TransactionLog | undefined

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'open':
      post({ type: 'opened', outcome: open(message.options) })
      return giveBackMemory()
    case 'group':
      postAnswers(answer(message.requests))
      database?.checkpoint()
      if (message.requests.some(({ kind }) => kind === 'list')) giveBackMemory()
      return
    case 'close':
      database?.[Symbol.dispose]()
      return port.close()
  }
})

/**
 * After reading everything: a value is small for V8 and large for the allocator, so a thread that is idle from now on
 * would keep them all, and SQLite the pages that they were on. V8 only where the process was started with `--expose-gc`.
 */
function giveBackMemory(): void {
  database?.connection.exec('PRAGMA shrink_memory')
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

function open(options: OpenOptions): Outcome<{ readonly revision: number }> {
  try {
    database = StateDatabase.open(options)
    log = new TransactionLog(database)
    return ok({ revision: database.head.revision })
  } catch (thrown) {
    return failed(sqliteError(thrown, options.path, 'the file'))
  }
}

function answer(requests: readonly Request[]): readonly Outcome<Answer>[] {
  const writes = requests.filter(isWrite)
  const written = (log?.write(writes) ?? []).values()
  return requests.map((request) => (isWrite(request) ? next(written) : read(request)))
}

/** Reads come after the writes of their group, and so see what was asked for before them. */
function read(request: ReadRequest): Outcome<Answer> {
  assert(database !== undefined, 'nothing is asked before the database is open')
  try {
    if (request.kind === 'get') return ok(database.get(request.key))
    if (request.kind === 'list') return ok(packSnapshot(database.list(request.prefix)))
    return ok(database.changes(request.prefix, request.after))
  } catch (thrown) {
    return failed(sqliteError(thrown, database.path))
  }
}

function next(outcomes: ArrayIterator<Outcome<Answer>>): Outcome<Answer> {
  const { value } = outcomes.next()
  assert(value !== undefined, 'every write has an outcome')
  return value
}

function isWrite(request: Request): request is WriteRequest {
  return request.kind === 'commit' || request.kind === 'lease' || request.kind === 'release'
}

function postAnswers(outcomes: readonly Outcome<Answer>[]): void {
  post({ type: 'answered', outcomes }, outcomes.flatMap(buffersOf))
}

/** Made for the answer: moved, not copied. */
function buffersOf(outcome: Outcome<Answer>): readonly ArrayBuffer[] {
  if (!outcome.isOk || typeof outcome.value !== 'object') return []
  return 'bytes' in outcome.value ? [outcome.value.bytes.buffer] : []
}

function post(message: FromWorker, moved: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, [...moved])
}
