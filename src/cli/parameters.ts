/** Flags and arguments that several commands share, so that they read and behave alike. */

import { parseHostname, parseMac } from '../core/identity.ts'
import { formatIpv4, parseIpv4 } from '../core/ipv4.ts'
import { parseName } from '../core/name.ts'
import type { Network } from '../core/task.ts'
import { parseBytes } from '../core/units.ts'

import type { CliContext } from './context.ts'
import { parseCores, parsePublish } from './parse.ts'

export const jsonFlag = {
  kind: 'boolean',
  brief: 'Print JSON instead of text',
  default: false,
  withNegated: false,
} as const

/** A switch that is off unless given. */
export function onFlag(brief: string) {
  return { kind: 'boolean', brief, default: false, withNegated: false } as const
}

export function textFlag(brief: string, placeholder: string) {
  return { kind: 'parsed', parse: String, brief, placeholder, optional: true } as const
}

export function nameFlag(brief: string) {
  return {
    kind: 'parsed',
    parse: parseTaskName,
    brief,
    placeholder: 'name',
    optional: true,
  } as const
}

function parseTaskName(text: string): string {
  return parseName(text)
}

export const kernelsFlag = textFlag(
  'Folder of the kernels; by default QUIVER_KERNELS, or the cache of the machine',
  'folder',
)

/** What `run` and `deploy` change of the manifest. */
export const overrideFlags = {
  config: textFlag('Named start configuration of the manifest', 'name'),
  env: {
    kind: 'parsed',
    parse: String,
    brief: 'Set a variable; KEY alone takes your own value of it (repeatable)',
    placeholder: 'KEY=VALUE',
    variadic: true,
    optional: true,
  },
  envFile: {
    kind: 'parsed',
    parse: String,
    brief: 'Read variables from a file (repeatable)',
    placeholder: 'file',
    variadic: true,
    optional: true,
  },
  memory: {
    kind: 'parsed',
    parse: parseBytes,
    brief: 'Memory limit, such as 200MiB',
    placeholder: 'size',
    optional: true,
  },
  cpu: {
    kind: 'parsed',
    parse: parseCores,
    brief: 'CPU limit in cores, such as 0.5',
    placeholder: 'cores',
    optional: true,
  },
  publish: {
    kind: 'parsed',
    parse: parsePublish,
    brief: 'Listen on a port of the host, HOST_PORT:PORT (repeatable)',
    placeholder: 'ports',
    variadic: true,
    optional: true,
  },
  isolation: {
    kind: 'enum',
    values: ['wasm', 'sandbox', 'microvm'],
    brief: 'Isolation to use; by default what the manifest says',
    optional: true,
  },
  network: {
    kind: 'enum',
    values: ['private', 'bridge', 'none', 'host'],
    brief: 'Network to use; by default what the manifest says',
    optional: true,
  },
  ip: {
    kind: 'parsed',
    parse: (text: string) => formatIpv4(parseIpv4(text)),
    brief: 'Address on the bridge, of the one instance that there is then',
    placeholder: 'address',
    optional: true,
  },
  mac: {
    kind: 'parsed',
    parse: parseMac,
    brief: 'Hardware address on the bridge, of the one instance that there is then',
    placeholder: 'address',
    optional: true,
  },
  hostname: {
    kind: 'parsed',
    parse: parseHostname,
    brief: 'Host name, instead of the name of the task',
    placeholder: 'name',
    optional: true,
  },
  dns: {
    kind: 'parsed',
    parse: (text: string) => formatIpv4(parseIpv4(text)),
    brief: 'Name server on the bridge, at most two (repeatable)',
    placeholder: 'address',
    variadic: true,
    optional: true,
  },
} as const

export const overrideAliases = { e: 'env', m: 'memory', c: 'cpu', p: 'publish' } as const

export interface OverrideFlags {
  readonly config?: string
  readonly env?: readonly string[]
  readonly envFile?: readonly string[]
  readonly memory?: number
  readonly cpu?: number
  readonly publish?: readonly { address: string; hostPort: number; port: number }[]
  readonly isolation?: 'wasm' | 'sandbox' | 'microvm'
  readonly network?: Network
  readonly ip?: string
  readonly mac?: string
  readonly hostname?: string
  readonly dns?: readonly string[]
}

export const taskArgument = {
  brief: 'Name of the task',
  parse: String,
  placeholder: 'task',
  proposeCompletions: completer(async (context) => {
    using client = await context.openClient()
    const tasks = await client.call('listTasks', {}, AbortSignal.timeout(COMPLETION_TIMEOUT_MS))
    return tasks.map(({ name }) => name)
  }),
} as const

/** A task, or one of its instances. */
export const targetArgument = {
  ...taskArgument,
  brief: 'Name of the task, or id of an instance',
  placeholder: 'task|instance',
} as const

export const imageArgument = {
  brief: 'Digest, its beginning, or the name of an image',
  parse: String,
  placeholder: 'image',
  proposeCompletions: completer(async (context) => {
    using client = await context.openClient()
    const images = await client.call('listImages', {}, AbortSignal.timeout(COMPLETION_TIMEOUT_MS))
    return images.map(({ name }) => name)
  }),
} as const

export const binaryArgument = {
  brief: 'Digest, its beginning, or a name such as node@26',
  parse: String,
  placeholder: 'binary',
  proposeCompletions: completer(async (context) => {
    using client = await context.openClient()
    const signal = AbortSignal.timeout(COMPLETION_TIMEOUT_MS)
    const binaries = await client.call('listBinaries', {}, signal)
    return binaries.map(({ name }) => name)
  }),
} as const

/** Somebody waits for the Tab key. */
const COMPLETION_TIMEOUT_MS = 500

/** Proposals of a node; none when it does not answer: completion never fails. */
function completer(list: (context: CliContext) => Promise<readonly string[]>) {
  return async function propose(this: CliContext, partial: string): Promise<readonly string[]> {
    try {
      const names = await list(this)
      return [...new Set(names)].filter((name) => name.startsWith(partial))
    } catch {
      return []
    }
  }
}

/** The folder that is built, for commands that take one. */
export const folderPositional = {
  kind: 'tuple',
  parameters: [
    {
      brief: 'Folder with a quiver.toml, by default this one',
      parse: String,
      placeholder: 'folder',
      optional: true,
    },
  ],
} as const
