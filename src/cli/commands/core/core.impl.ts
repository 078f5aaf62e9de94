/** `quiver core`: what its verbs do. */

import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'

import { errnoOf, QuiverError } from '../../../core/error.ts'
import type { CliContext } from '../../context.ts'
import { formatCores } from '../../cores.ts'
import { formatBytes } from '../../format.ts'
import { parseCount } from '../../parse.ts'
import { printJson, say } from '../../print.ts'

export async function listCores(
  this: CliContext,
  flags: { readonly json: boolean },
  task?: string,
): Promise<void> {
  using client = await this.openClient()
  const cores = await client.call('listCores', { query: { task } }, this.signal)
  if (flags.json) printJson(this, cores)
  else this.process.stdout.write(formatCores(cores, Date.now()))
}

export async function getCore(
  this: CliContext,
  flags: { readonly output?: string },
  task: string,
  number?: number,
): Promise<void> {
  using client = await this.openClient()
  const wanted = number ?? (await newest(this, task))
  const file = path.resolve(this.folder, flags.output ?? `core.${task}.${wanted}`)
  const params = { task, number: wanted }
  const content = await client.download('readCore', { params }, this.signal)
  // It holds what was in memory: nobody else is to read it.
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600 })
  try {
    await pipeline(content, target, { signal: this.signal })
  } catch (thrown) {
    throw await unwritten(file, thrown)
  }
  say(this, `${file}, ${formatBytes(target.bytesWritten)}`)
}

export async function removeCore(
  this: CliContext,
  _flags: object,
  task: string,
  ...numbers: string[]
): Promise<void> {
  using client = await this.openClient()
  const all = await client.call('listCores', { query: { task } }, this.signal)
  const wanted = numbers.length === 0 ? all.map(({ number }) => number) : numbers.map(parseCount)
  for (const number of wanted) {
    await client.call('removeCore', { params: { task, number } }, this.signal)
  }
}

async function newest(context: CliContext, task: string): Promise<number> {
  using client = await context.openClient()
  const cores = await client.call('listCores', { query: { task } }, context.signal)
  const last = cores.at(-1)
  if (last !== undefined) return last.number
  throw new QuiverError('not_found', 'CORE_NOT_FOUND', `there is no core dump of ${task}`, {
    hint: 'They are kept of tasks in microVMs that have limits.core.',
  })
}

/** What came of it is no core dump. A file that was there already stays. */
async function unwritten(file: string, thrown: unknown): Promise<unknown> {
  if (errnoOf(thrown) === 'EEXIST') {
    return new QuiverError('already_exists', 'FILE_EXISTS', `${file} is there already`, {
      hint: 'Name another file with --output.',
      cause: thrown,
    })
  }
  await rm(file, { force: true })
  if (errnoOf(thrown) === undefined || thrown instanceof QuiverError) return thrown
  const message = `cannot write ${file}: ${String(thrown)}`
  return new QuiverError('failed_precondition', 'FILE_UNWRITABLE', message, {
    hint: 'Name a file in a folder that you may write to, with --output.',
    cause: thrown,
  })
}
