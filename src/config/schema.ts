/**
 * The schema of `quiver.toml`: the one source of validation, of the TypeScript type, of `schema/quiver.json` (editors), of
 * docs/reference/manifest.md and of the comments that `quiver new` writes.
 *
 * Quantities are strings in the file and numbers from here on. Rules between keys are in rules.ts.
 */

import * as z from 'zod'

import { parseHostname, parseMac } from '../core/identity.ts'
import { formatIpv4, parseIpv4 } from '../core/ipv4.ts'
import { parseName, parseRuntime } from '../core/name.ts'

import { parseOutsideHost } from './address.ts'
import * as field from './fields.ts'
import {
  argv0,
  BuildSchema,
  command,
  ConnectSchema,
  env,
  HealthSchema,
  HttpSchema,
  LimitsSchema,
  NamedConfigSchema,
  PortSchema,
  ScaleSchema,
  WasmSchema,
} from './sections.ts'

export const STOP_SIGNALS = [
  ...(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const),
  ...(['SIGWINCH', 'SIGABRT', 'SIGALRM', 'SIGKILL'] as const),
] as const

export const ManifestSchema = z.strictObject({
  name: field
    .checked((text) => parseName(text))
    .describe('Name of the task: 1 to 63 lower-case letters, digits and hyphens.')
    .meta({ examples: ['hello'] }),
  runtime: field
    .checked(parseRuntime)
    .optional()
    .describe(
      'The binary that runs it, with a version or the beginning of one: `node@26`. Either this or `file`.',
    )
    .meta({ examples: ['node@26'] }),
  file: field
    .text(4096)
    .optional()
    .describe(
      'An executable, a WebAssembly module (`.wasm`) or a script (`.js`, `.ts`) of your own in this folder, instead of `runtime`.',
    )
    .meta({ examples: ['./server'] }),
  command: command
    .default([])
    .describe('Arguments after the program.')
    .meta({ examples: [['server.js']] }),
  argv0: argv0
    .describe(
      'What the program sees as `argv[0]`; the name of the program unless given. Chooses the applet of busybox.',
    )
    .meta({ examples: ['httpd'] }),
  isolation: z
    .enum(['wasm', 'sandbox', 'microvm'])
    .optional()
    .describe(
      'How instances are isolated. `wasm`: WebAssembly, a fresh instance for each request; `sandbox`: a process of its own; `microvm`: a machine with a kernel of its own. `wasm` for a module or a script as `file` unless given, else `sandbox`.',
    )
    .meta({ examples: ['sandbox'] }),
  version: field
    .matching(
      /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/,
      'a version',
      'Use up to 64 letters, digits and "._+-".',
    )
    .optional()
    .describe('Version of the application, for people.')
    .meta({ examples: ['1.4.0'] }),
  title: field
    .text(200)
    .optional()
    .describe('One line about it.')
    .meta({ examples: ['Says hello'] }),
  author: field
    .text(200)
    .optional()
    .describe('Who made it.')
    .meta({ examples: ['Ada Lovelace'] }),
  tags: z
    .array(
      field.matching(
        /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
        'a tag',
        'Use up to 63 letters, digits and "._-".',
      ),
    )
    .max(32)
    .default([])
    .describe('Words to find it by.')
    .meta({ examples: [['web', 'demo']] }),
  network: z
    .enum(['private', 'bridge', 'none', 'host'])
    .default('private')
    .describe(
      '`private`: loopback, connected tasks and `allow`; `bridge`: these, and an address of its own beside the other tasks that have this; `none`: loopback only; `host`: the network of the machine.',
    ),
  ip: field
    .checked(parseIpv4)
    .optional()
    .describe('Its address on the bridge; chosen by the node unless given.')
    .meta({ examples: ['10.83.0.10'] }),
  mac: field
    .parsed(parseMac)
    .optional()
    .describe('Its hardware address on the bridge; made from the address unless given.')
    .meta({ examples: ['02:00:5e:10:00:01'] }),
  hostname: field
    .checked(parseHostname)
    .optional()
    .describe(
      'Its host name, under which the bridge knows it too; the name of the task unless given.',
    )
    .meta({ examples: ['db-1'] }),
  dns: z
    .array(field.parsed((text) => formatIpv4(parseIpv4(text))))
    .max(2)
    .default([])
    .describe('Name servers on the bridge, for names that nobody else there has.')
    .meta({ examples: [['10.83.0.53']] }),
  allow: z
    .array(field.parsed(parseOutsideHost))
    .max(100)
    .default([])
    .describe(
      'Outside hosts it may reach: `https://host`, `http://host:port`, `tcp://host:port`. `*.example.com` is every name below `example.com`; IPv6 addresses stand in brackets.',
    )
    .meta({ examples: [['https://api.example.com']] }),
  writable: z
    .boolean()
    .default(false)
    .describe(
      'Give each instance a private copy of /app that it may write; else it is shared and read-only.',
    ),
  snapshot: z
    .enum(['ready'])
    .optional()
    .describe(
      'Of a `microvm`. `ready`: the machine is saved once its ports listen, and later starts go on from there, each with other randomness. Read the guide first: what the program drew from a generator of its own before, all instances have.',
    )
    .meta({ examples: ['ready'] }),
  workdir: field
    .matching(
      /^\/.*$/,
      'an absolute path',
      'Write a path inside the instance that begins with a slash.',
    )
    .default('/app')
    .describe('Working directory inside the instance; /app holds your files.'),
  stop_signal: z.enum(STOP_SIGNALS).default('SIGTERM').describe('Signal that asks it to end.'),
  default_config: field
    .text(63)
    .optional()
    .describe('The `[config.NAME]` that is used when none is asked for.')
    .meta({ examples: ['worker'] }),
  http: HttpSchema.optional(),
  wasm: WasmSchema.optional(),
  port: z.array(PortSchema).max(64).default([]),
  scale: ScaleSchema.prefault({}),
  limits: LimitsSchema.prefault({}),
  health: HealthSchema.prefault({}),
  env: env
    .default({})
    .describe('Environment variables. Values are strings, and may hold anything.'),
  connect: z.array(ConnectSchema).max(64).default([]),
  build: BuildSchema.optional(),
  config: z.record(z.string(), NamedConfigSchema).default({}),
})

/** A manifest that is valid, with every default filled in. */
export type Manifest = z.output<typeof ManifestSchema>
