/** The command tree: `quiver <verb>` for tasks, `quiver <noun> <verb>` for the rest. One file per verb under commands/. */

import {
  ArgumentParseError,
  buildApplication,
  buildRouteMap,
  text_en as english,
} from '@stricli/core'

import { CODES, QuiverError } from '../core/error.ts'
import { VERSION } from '../core/version.ts'

import { importBinary } from './commands/binary/import.ts'
import { inspectBinary } from './commands/binary/inspect.ts'
import { listBinaries } from './commands/binary/ls.ts'
import { removeBinary } from './commands/binary/rm.ts'
import { getCore } from './commands/core/get.ts'
import { listCores } from './commands/core/ls.ts'
import { removeCore } from './commands/core/rm.ts'
import { collectGarbage } from './commands/image/gc.ts'
import { inspectImage } from './commands/image/inspect.ts'
import { listImages } from './commands/image/ls.ts'
import { removeImage } from './commands/image/rm.ts'
import { buildKernel } from './commands/kernel/build.ts'
import { listKernels } from './commands/kernel/ls.ts'
import { removeKernel } from './commands/kernel/rm.ts'
import { completion } from './commands/node/completion.ts'
import { printConfig } from './commands/node/config.ts'
import { doctor } from './commands/node/doctor.ts'
import { down } from './commands/node/down.ts'
import { events } from './commands/node/events.ts'
import { health } from './commands/node/health.ts'
import { inspectNode } from './commands/node/inspect.ts'
import { token } from './commands/node/token.ts'
import { top } from './commands/node/top.ts'
import { up } from './commands/node/up.ts'
import { version } from './commands/node/version.ts'
import { attach } from './commands/task/attach.ts'
import { build } from './commands/task/build.ts'
import { deploy } from './commands/task/deploy.ts'
import { describe } from './commands/task/describe.ts'
import { exec } from './commands/task/exec.ts'
import { invoke } from './commands/task/invoke.ts'
import { logs } from './commands/task/logs.ts'
import { create } from './commands/task/new.ts'
import { open } from './commands/task/open.ts'
import { promote } from './commands/task/promote.ts'
import { ps } from './commands/task/ps.ts'
import { restart } from './commands/task/restart.ts'
import { remove } from './commands/task/rm.ts'
import { rollback } from './commands/task/rollback.ts'
import { run } from './commands/task/run.ts'
import { scale } from './commands/task/scale.ts'
import { start } from './commands/task/start.ts'
import { stop } from './commands/task/stop.ts'
import { GLOBAL_FLAGS } from './globals.ts'
import { renderError } from './print.ts'

const root = buildRouteMap({
  docs: {
    brief: 'Run one application, and nothing else, on your own machines',
    fullDescription: describeGlobals(),
  },
  routes: {
    up,
    down,
    new: create,
    build,
    run,
    deploy,
    promote,
    rollback,
    ps,
    describe,
    logs,
    exec,
    invoke,
    attach,
    stop,
    start,
    restart,
    scale,
    rm: remove,
    open,
    events,
    top,
    image: buildRouteMap({
      docs: { brief: 'List, inspect and remove images' },
      routes: { ls: listImages, inspect: inspectImage, rm: removeImage, gc: collectGarbage },
    }),
    binary: buildRouteMap({
      docs: { brief: 'List, import, inspect and remove binaries' },
      routes: {
        ls: listBinaries,
        import: importBinary,
        inspect: inspectBinary,
        rm: removeBinary,
      },
    }),
    core: buildRouteMap({
      docs: { brief: 'List, fetch and remove core dumps' },
      routes: { ls: listCores, get: getCore, rm: removeCore },
    }),
    kernel: buildRouteMap({
      docs: { brief: 'Build, list and remove kernels of microVMs' },
      routes: { build: buildKernel, ls: listKernels, rm: removeKernel },
    }),
    node: buildRouteMap({
      docs: { brief: 'Look at the node' },
      routes: { inspect: inspectNode, health },
    }),
    config: buildRouteMap({
      docs: { brief: 'Show the configuration of the node' },
      routes: { print: printConfig },
    }),
    token,
    doctor,
    completion,
    version,
  },
})

export const app = buildApplication(root, {
  name: 'quiver',
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
  documentation: { caseStyle: 'convert-camel-to-kebab' },
  determineExitCode: (thrown) => CODES[QuiverError.from(thrown).code].exit,
  localization: {
    text: {
      ...english,
      exceptionWhileRunningCommand: renderError,
      exceptionWhileParsingArguments: renderMisuse,
      noCommandRegisteredForInput: renderUnknownCommand,
    },
  },
})

/** They are taken before a command sees its flags, so that no help of a command has them. */
function describeGlobals(): string {
  const flags = Object.entries(GLOBAL_FLAGS).map(
    ([flag, { variable, brief }]) => `  ${flag.padEnd(9)}${brief} (${variable})`,
  )
  return [
    'Run one application, and nothing else, on your own machines',
    '',
    'FLAGS OF EVERY COMMAND',
    ...flags,
  ].join('\n')
}

/** A flag or an argument that is wrong: what our own parsers say is complete, the rest is the library's. */
function renderMisuse(thrown: unknown): string {
  const inner = thrown instanceof ArgumentParseError ? thrown.exception : thrown
  if (inner instanceof QuiverError) return renderError(inner)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return renderError(
    new QuiverError('invalid_argument', 'USAGE_INVALID', message, {
      hint: 'Add --help to see what the command takes.',
    }),
  )
}

function renderUnknownCommand({
  input,
  corrections: [nearest],
}: {
  readonly input: string
  readonly corrections: readonly string[]
}): string {
  const hint =
    nearest === undefined
      ? 'See "quiver --help" for those there are.'
      : `Did you mean "${nearest.replaceAll('`', '')}"?`
  return renderError(
    new QuiverError('invalid_argument', 'COMMAND_NOT_FOUND', `there is no command "${input}"`, {
      hint,
    }),
  )
}
