/** What a manifest means: a `TaskSpec` and its named configurations, with every default filled in. */

import { constants } from 'node:os'
import path from 'node:path'

import { formatRoute, parseRoute } from '../core/route.ts'
import {
  START_TIMEOUT_MS,
  WASM_DEFAULTS,
  type IdentitySpec,
  type Isolation,
  type LimitsSpec,
  type TaskSpec,
  type WasmSpec,
} from '../core/task.ts'

import { isScriptFile, isWasmFile } from './rules.ts'
import type { Manifest } from './schema.ts'

/** What a named configuration changes of a spec. Its variables are added to those of the spec. */
export type NamedConfig = Partial<Pick<TaskSpec, 'args' | 'env' | 'argv0'>>

export type NamedConfigs = Readonly<Record<string, NamedConfig>>

/**
 * The spec without any named configuration, and with the variables of `[env]` only.
 *
 * @param domain  what a web server without routes is below: it takes `<name>.<domain>`
 */
export function resolveManifest(manifest: Manifest, domain = 'localhost'): TaskSpec {
  const { http, scale } = manifest
  const isolation = manifest.isolation ?? (isModule(manifest) ? 'wasm' : 'sandbox')
  return {
    name: manifest.name,
    isolation,
    args: manifest.command,
    argv0: manifest.argv0 ?? null,
    env: manifest.env,
    workdir: manifest.workdir,
    http:
      http === undefined
        ? null
        : {
            port: http.port,
            routes: resolveRoutes(`${manifest.name}.${domain}`, http.routes),
            sticky: http.sticky ?? 'none',
          },
    ports: manifest.port.map(({ port, publish }) => ({ port, publish: publish ?? null })),
    scale: {
      min: scale.min,
      max: scale.max,
      concurrency: scale.concurrency,
      pauseAfterMs: scale.pause_after,
      stopAfterMs: scale.stop_after,
    },
    limits: resolveLimits(manifest.limits, isolation),
    readyPath: manifest.health.ready ?? null,
    allow: manifest.allow,
    connect: manifest.connect.map(({ task, as, port, kind }) => ({
      task,
      as: as ?? task,
      port: port ?? 80,
      kind,
    })),
    network: manifest.network,
    ...resolveIdentity(manifest),
    isWritable: manifest.writable,
    ...(manifest.snapshot === undefined ? {} : { snapshot: manifest.snapshot }),
    stopSignal: constants.signals[manifest.stop_signal],
    wasm: resolveWasm(manifest),
  }
}

/** Left out where nothing is said, so that images are what they were before it could be. */
function resolveIdentity({ hostname, ip, mac, dns }: Manifest): {
  readonly identity?: IdentitySpec
} {
  if (hostname === undefined && ip === undefined && mac === undefined && dns.length === 0) return {}
  return { identity: { hostname: hostname ?? null, ip: ip ?? null, mac: mac ?? null, dns } }
}

/** All named configurations, each with what it has from its `base`. */
export function resolveConfigs(manifest: Manifest): NamedConfigs {
  const names = Object.keys(manifest.config)
  return Object.fromEntries(names.map((name) => [name, resolveConfig(manifest, name)]))
}

function resolveRoutes(host: string, routes: readonly string[]): readonly string[] {
  if (routes.length === 0) return [host]
  return routes.map((text) => formatRoute(parseRoute(text)))
}

function isModule({ file }: Manifest): boolean {
  return isWasmFile(file) || isScriptFile(file)
}

function resolveWasm({ wasm, file }: Manifest): WasmSpec | null {
  const script = file !== undefined && isScriptFile(file) ? path.normalize(file) : null
  if (wasm === undefined) return script === null ? null : { ...WASM_DEFAULTS, script }
  return {
    stdout: wasm.stdout,
    entry: wasm.entry ?? null,
    isReused: wasm.instances === 'reuse',
    cpuTimeMs: wasm.cpu_time,
    outputBytes: wasm.output,
    hostCalls: wasm.host_calls,
    ...(script === null ? {} : { script }),
  }
}

function resolveLimits(limits: Manifest['limits'], isolation: Isolation): LimitsSpec {
  return {
    memoryBytes: limits.memory,
    cpuMillis: limits.cpu ?? null,
    startCpuMillis: limits.start_cpu,
    pids: limits.pids,
    files: limits.files,
    fileBytes: limits.file_size ?? null,
    ...(limits.core === undefined ? {} : { coreBytes: limits.core }),
    tmpBytes: limits.tmp,
    requestTimeoutMs: limits.request_timeout,
    startTimeoutMs: limits.start_timeout ?? START_TIMEOUT_MS[isolation],
    stopTimeoutMs: limits.stop_timeout,
    wallTimeMs: limits.wall_time ?? null,
    bodyBytes: limits.body ?? null,
    queueLength: limits.queue,
    logBytes: limits.log,
  }
}

/** Walks up the bases; `rules.ts` has made sure that they exist and do not go round. */
function resolveConfig(manifest: Manifest, name: string): NamedConfig {
  const config = manifest.config[name]
  if (config === undefined) return {}
  const base = config.base === undefined ? {} : resolveConfig(manifest, config.base)
  return {
    ...base,
    ...(config.command === undefined ? {} : { args: config.command }),
    ...(config.argv0 === undefined ? {} : { argv0: config.argv0 }),
    env: { ...base.env, ...config.env },
  }
}
