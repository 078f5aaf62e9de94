/** The sections of `quiver.toml`: one schema each, with the texts that editors, the reference and templates show. */

import * as z from 'zod'

import { parseName } from '../core/name.ts'
import { parseRoute } from '../core/route.ts'

import { parseListenAddress } from './address.ts'
import * as field from './fields.ts'

export const command = z.array(field.text(131_000)).max(1000)
export const env = z
  .record(z.string(), field.text(131_000))
  .meta({ examples: [{ LOG_LEVEL: 'info' }] })
export const argv0 = field.text(255).optional()

export const HttpSchema = z
  .strictObject({
    port: field
      .port()
      .default(8080)
      .describe(
        'Port your web server listens on inside the instance; also given to it as `$PORT`.',
      ),
    routes: z
      .array(field.checked(parseRoute))
      .max(1000)
      .default([])
      .describe(
        'Which requests it takes: `[METHOD ]host[/path]` with `:param` segments, a final `*rest`, and `*.example.com`. `<name>.localhost` unless given.',
      )
      .meta({ examples: [['hello.localhost', 'GET example.com/api/:id']] }),
    sticky: z
      .enum(['cookie', 'client'])
      .optional()
      .describe(
        'Send a client to the same instance again: by a `cookie`, or by the `client` address.',
      ),
  })
  .describe('A web server. Without this section the task takes no HTTP requests.')

export const PortSchema = z
  .strictObject({
    port: field
      .port()
      .describe('TCP port inside the instance.')
      .meta({ examples: [6379] }),
    publish: field
      .parsed((text) => parseListenAddress(text))
      .optional()
      .describe(
        'Where the host listens for it: `"6379"` (loopback), `"0.0.0.0:6379"` (every address). Unless given, only connected tasks reach it.',
      )
      .meta({ examples: ['6379', '0.0.0.0:6379'] }),
  })
  .describe('A plain TCP port, beside or instead of HTTP. Repeat the section for each.')

export const ScaleSchema = z
  .strictObject({
    min: field
      .whole(0, 1000)
      .default(0)
      .describe('Instances that are kept running; 0 scales to zero.'),
    max: field.whole(1, 1000).default(10).describe('Most instances at a time.'),
    concurrency: field
      .whole(1, 100_000)
      .default(50)
      .describe('Requests in flight per instance before another is started.'),
    pause_after: field
      .durationOrNever('1ms', '8760h')
      .prefault('10s')
      .describe(
        'Idle time until an instance is frozen; it thaws within milliseconds. Or `"never"`.',
      ),
    stop_after: field
      .durationOrNever('1ms', '8760h')
      .prefault('5m')
      .describe(
        'Idle time until an instance is stopped; the next request starts one. Or `"never"`.',
      ),
  })
  .describe('How many instances run, and when idle ones are put away.')

export const LimitsSchema = z
  .strictObject({
    memory: field
      .size('4MiB', '1024GiB')
      .prefault('256MiB')
      .describe('Memory of an instance with its files in /tmp.')
      .meta({ examples: ['128MiB'] }),
    cpu: field
      .cores()
      .optional()
      .describe('Cores an instance may use once it is ready; no limit unless given.'),
    start_cpu: field
      .cores()
      .prefault(1)
      .describe('Cores an instance may use until it is ready.')
      .meta({ examples: [1] }),
    pids: field.whole(1, 65_536).default(128).describe('Processes and threads at a time.'),
    files: field.whole(16, 1_048_576).default(4096).describe('Open files and sockets per process.'),
    file_size: field
      .size('1B', '1024GiB')
      .optional()
      .describe('Largest file a process may write; no limit but `tmp` unless given.')
      .meta({ examples: ['16MiB'] }),
    core: field
      .size('1B', '1024GiB')
      .optional()
      .describe(
        'Core dumps that an instance in a microVM may write when its processes crash; none unless given, as they hold all that was in memory.',
      )
      .meta({ examples: ['256MiB'] }),
    tmp: field
      .size('64KiB', '1024GiB')
      .prefault('64MiB')
      .describe('Size of /tmp, and of /app when it is writable.')
      .meta({ examples: ['64MiB'] }),
    request_timeout: field
      .duration('1ms', '24h')
      .prefault('60s')
      .describe('Longest wait for the answer to a request; then 504.')
      .meta({ examples: ['60s'] }),
    start_timeout: field
      .duration('1ms', '1h')
      .optional()
      .describe(
        'Longest time until a started instance is ready; 10s unless given, 60s for a microVM.',
      )
      .meta({ examples: ['10s'] }),
    stop_timeout: field
      .duration('0ms', '1h')
      .prefault('10s')
      .describe('Time between the stop signal and SIGKILL.')
      .meta({ examples: ['10s'] }),
    wall_time: field
      .duration('1ms', '8760h')
      .optional()
      .describe('Longest life of an instance; no limit unless given.')
      .meta({ examples: ['1h'] }),
    body: field
      .size('0B', '1024GiB')
      .optional()
      .describe('Largest request body; then 413. No limit unless given.')
      .meta({ examples: ['10MiB'] }),
    queue: field
      .whole(1, 100_000)
      .default(1000)
      .describe('Requests that may wait while an instance starts; then 503.'),
    log: field
      .size('64KiB', '16GiB')
      .prefault('8MiB')
      .describe('Log kept per instance; the oldest goes first.')
      .meta({ examples: ['8MiB'] }),
  })
  .describe('What an instance may use. Every limit is enforced, and its breach is named.')

export const WasmSchema = z
  .strictObject({
    stdout: z
      .enum(['cgi', 'body'])
      .default('cgi')
      .describe(
        'What a command writes to stdout: headers, an empty line and the body (`cgi`), or only a `body` of plain text.',
      ),
    entry: field
      .text(255)
      .optional()
      .describe('The export that answers requests; `handle`, `main` or `_start` unless given.')
      .meta({ examples: ['handle'] }),
    instances: z
      .enum(['fresh', 'reuse'])
      .default('fresh')
      .describe(
        'A `fresh` instance of the module for each request, or `reuse` one for all of them, one at a time.',
      ),
    cpu_time: field
      .duration('1ms', '24h')
      .prefault('10s')
      .describe('Longest computing of one request; then it is ended.')
      .meta({ examples: ['10s'] }),
    output: field
      .size('1B', '16GiB')
      .prefault('64MiB')
      .describe('Longest answer; what is longer is cut off, and named.')
      .meta({ examples: ['64MiB'] }),
    host_calls: field
      .whole(1, 1_000_000_000)
      .default(1_000_000)
      .describe('Calls of host functions per second, of one request.'),
  })
  .describe('How a WebAssembly module or a script is run. Only with such a `file`.')

export const HealthSchema = z
  .strictObject({
    ready: field
      .matching(
        /^\/[!-~]*$/,
        'a path',
        'Write a path that begins with a slash, such as "/healthz".',
      )
      .optional()
      .describe(
        'Path that must answer 200 before the first request; unless given, a listening port is enough.',
      )
      .meta({ examples: ['/healthz'] }),
  })
  .describe('When an instance is ready.')

export const ConnectSchema = z
  .strictObject({
    task: field
      .checked((text) => parseName(text))
      .describe('Name of the other task; it is started when you connect.')
      .meta({ examples: ['photo-db'] }),
    as: field
      .matching(
        /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/,
        'a host name',
        'Use lower-case letters, digits and hyphens, in parts joined by dots.',
      )
      .max(253)
      .optional()
      .describe('Host name for it inside the instance; the name of the task unless given.')
      .meta({ examples: ['db'] }),
    port: field
      .port()
      .optional()
      .describe('Port to connect to; 80 for HTTP unless given. For TCP the port of the other task.')
      .meta({ examples: [5432] }),
    kind: z
      .enum(['http', 'tcp'])
      .default('http')
      .describe("`http` goes to the other task's web server, `tcp` to one of its `[[port]]`s."),
  })
  .describe('Another task that this one may reach. Repeat the section for each.')

export const NamedConfigSchema = z
  .strictObject({
    base: field
      .text(255)
      .optional()
      .describe(
        'Another configuration of this file to start from: its command is reused, its env can be overridden.',
      )
      .meta({ examples: ['web'] }),
    command: command
      .optional()
      .describe('Arguments after the program, instead of `command`.')
      .meta({ examples: [['worker.js']] }),
    argv0: argv0.describe('`argv[0]`, instead of the one above.').meta({ examples: ['worker'] }),
    env: env
      .default({})
      .describe('Variables that are added to `[env]` or replace those of the same name.'),
  })
  .describe(
    'A named start configuration: `quiver run --config NAME`. `worker` stands for any name.',
  )

export const BuildSchema = z
  .strictObject({
    command: field
      .text(65_536)
      .describe('Shell command that `quiver build` runs in the folder before it takes the files.')
      .meta({ examples: ['npm ci --omit=dev'] }),
  })
  .describe('How the files of the image are made.')
