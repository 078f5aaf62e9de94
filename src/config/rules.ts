/** Rules between the keys of a manifest: what no single value can break. Each returns all it finds. */

import { nearestName, parseName } from '../core/name.ts'
import { isCovered, listNamedHosts } from '../core/outside-host.ts'
import { parseRoute, routeKey } from '../core/route.ts'
import { reachesDeclared } from '../core/task.ts'

import { formatListenAddress, formatOutsideHost } from './address.ts'
import { checkEnvironment } from './env.ts'
import type { KeyPath } from './positions.ts'
import type { Problem } from './problem.ts'
import type { Manifest } from './schema.ts'

/** Places to listen inside an instance (`RELAYS_MAX` of native/ainit/relay.h). */
const REACHED_MAX = 256
/** As the driver has it (`src/drivers/microvm/enclosure.ts`). */
const MACHINE_MEMORY_BYTES_MIN = 32 * 1024 * 1024

export function checkManifest(manifest: Manifest): readonly Problem[] {
  return [
    ...checkProgram(manifest),
    ...checkWasm(manifest),
    ...checkMachine(manifest),
    ...checkSnapshot(manifest),
    ...checkRoutes(manifest),
    ...checkPorts(manifest),
    ...checkScale(manifest),
    ...checkNetwork(manifest),
    ...checkIdentity(manifest),
    ...checkAllow(manifest),
    ...checkConnections(manifest),
    ...checkReachable(manifest),
    ...checkVariables(manifest),
    ...checkConfigs(manifest),
  ]
}

function checkProgram({ runtime, file, workdir }: Manifest): Problem[] {
  const problems: Problem[] = []
  if (runtime === undefined && file === undefined) {
    const hint = 'Write runtime = "node@26", or file = "./server" for an executable of your own.'
    problems.push({ path: [], at: 'key', message: '"runtime" or "file" is missing', hint })
  }
  if (runtime !== undefined && file !== undefined) {
    problems.push(wrongKey(['file'], 'cannot be used together with "runtime"', 'Keep one of them.'))
  }
  if (file !== undefined && !isInside(file)) {
    const hint = 'Write a path relative to this folder, such as "./server".'
    problems.push(wrong(['file'], `"${file}" is not inside this folder`, hint))
  }
  if (workdir.split('/').includes('..')) {
    problems.push(wrong(['workdir'], 'contains ".."', 'Write the path without it.'))
  }
  return problems
}

/** Whether `file` says that it is WebAssembly. */
export function isWasmFile(file: string | undefined): boolean {
  return file?.endsWith('.wasm') === true
}

/** Whether `file` says that it is JavaScript, or TypeScript whose types are left out. */
export function isScriptFile(file: string | undefined): boolean {
  return file !== undefined && /\.[cm]?[jt]s$/.test(file)
}

/** What a module has no use for is refused, so that nobody believes that it works. */
function checkWasm(manifest: Manifest): Problem[] {
  const { file, isolation, wasm, port, network, writable } = manifest
  const isWasm = isWasmFile(file) || isScriptFile(file)
  const problems: Problem[] = []
  if (!isWasm && isolation === 'wasm') {
    const hint = 'Set file to a .wasm module or a .js file, or isolation to "sandbox".'
    problems.push(wrong(['isolation'], 'is for WebAssembly, which this program is not', hint))
  }
  if (!isWasm && wasm !== undefined) {
    problems.push(
      wrongKey(['wasm'], 'is for WebAssembly', 'Set file to a .wasm module or a .js file.'),
    )
  }
  if (!isWasm) return problems
  const hint = 'Leave it out, or run the program in the sandbox as an executable of its own.'
  if (port.length > 0) {
    problems.push(wrongKey(['port', 0], 'is not there for WebAssembly: it takes HTTP only', hint))
  }
  if (network === 'host' || network === 'bridge') {
    problems.push(wrong(['network'], `"${network}" is not there for WebAssembly`, hint))
  }
  if (writable) problems.push(wrongKey(['writable'], 'is not there for WebAssembly', hint))
  return problems
}

/** What a machine of its own cannot be. */
function checkMachine({ isolation, network, limits }: Manifest): Problem[] {
  if (isolation !== 'microvm') return []
  const problems: Problem[] = []
  if (network === 'host') {
    const hint = 'Use "private" or "none", or isolation = "sandbox".'
    problems.push(wrong(['network'], '"host" is not there for a machine of its own', hint))
  }
  if (limits.memory < MACHINE_MEMORY_BYTES_MIN) {
    const message = 'is too little for a machine with a kernel of its own'
    problems.push(wrong(['limits', 'memory'], message, 'Write at least "32MiB".'))
  }
  return problems
}

/** What can be saved when it is ready: a machine that says so, and that is nobody in particular. */
function checkSnapshot({ isolation, snapshot, network, http, port }: Manifest): Problem[] {
  if (snapshot === undefined) return []
  if (isolation !== 'microvm') {
    const hint = 'Set isolation to "microvm", or leave it out.'
    return [wrongKey(['snapshot'], 'is for machines', hint)]
  }
  const problems: Problem[] = []
  if (http === undefined && port.length === 0) {
    const hint = 'Add an [http] or [[port]] section with a port that it listens on.'
    problems.push(wrongKey(['snapshot'], 'needs a port, which tells when it is ready', hint))
  }
  if (network === 'bridge') {
    const hint = 'Use network = "private", or leave snapshot out.'
    problems.push(wrongKey(['snapshot'], 'is not there for network "bridge"', hint))
  }
  return problems
}

function isInside(file: string): boolean {
  const parts = file.split('/').filter((part) => part !== '.' && part !== '')
  return !file.startsWith('/') && !parts.includes('..') && parts.length > 0
}

function checkRoutes({ http }: Manifest): Problem[] {
  const owners = new Map<string, number>()
  return (http?.routes ?? []).flatMap((text, index) => {
    const key = routeKey(parseRoute(text))
    const first = owners.get(key)
    if (first === undefined) owners.set(key, index)
    if (first === undefined) return []
    const message = `takes the same requests as routes[${first}]`
    return [wrong(['http', 'routes', index], message, 'Keep one of them.')]
  })
}

function checkPorts({ http, port: ports, health }: Manifest): Problem[] {
  const problems: Problem[] = []
  const inside = new Map<number, string>(http === undefined ? [] : [[http.port, 'http.port']])
  const outside = new Map<string, number>()
  for (const [index, { port, publish }] of ports.entries()) {
    const owner = inside.get(port)
    if (owner !== undefined) {
      const hint =
        owner === 'http.port' ? 'HTTP is reached by its routes: leave this section out.' : undefined
      problems.push(wrong(['port', index, 'port'], `${port} is already ${owner}`, hint))
    }
    inside.set(port, owner ?? `port[${index}].port`)
    if (publish === undefined) continue
    const address = formatListenAddress(publish)
    const first = outside.get(address)
    outside.set(address, first ?? index)
    if (first === undefined) continue
    problems.push(
      wrong(['port', index, 'publish'], `${address} is already published by port[${first}]`),
    )
  }
  if (health.ready !== undefined && http === undefined) {
    const hint = 'Add an [http] section with the port of the web server that answers it.'
    problems.push(wrongKey(['health', 'ready'], 'needs a web server', hint))
  }
  return problems
}

function checkScale({ scale }: Manifest): Problem[] {
  if (scale.min <= scale.max) return []
  const message = `${scale.min} is more than scale.max, which is ${scale.max}`
  return [wrong(['scale', 'min'], message, `Set max to ${scale.min} or more.`)]
}

function checkNetwork({ network, allow, connect }: Manifest): Problem[] {
  if (reachesDeclared({ network })) return []
  const why = network === 'none' ? 'nothing can be reached' : 'everything can be reached'
  const message = `has no effect with network = "${network}", where ${why}`
  const hint = 'Use network = "private", or leave this out.'
  return [
    ...(allow.length > 0 ? [wrongKey(['allow'], message, hint)] : []),
    ...(connect.length > 0 ? [wrongKey(['connect', 0], message, hint)] : []),
  ]
}

/** What says who it is needs a network on which it is somebody. */
function checkIdentity({ network, ip, mac, hostname, dns, scale }: Manifest): Problem[] {
  const given = { ip, mac, dns: dns.length > 0 ? dns : undefined }
  const problems = Object.entries(given).flatMap(([key, value]): Problem[] => {
    if (value === undefined || network === 'bridge') return []
    const message = `has no effect with network = "${network}"`
    return [wrongKey([key], message, 'Set network = "bridge", or leave this out.')]
  })
  if (hostname !== undefined && network === 'host') {
    const message = 'has no effect with network = "host", where it is the machine\'s'
    problems.push(wrongKey(['hostname'], message, 'Use another network, or leave this out.'))
  }
  const fixed = ip === undefined ? 'mac' : 'ip'
  if ((ip ?? mac) === undefined || scale.max === 1) return problems
  const message = `is for one instance, and scale.max is ${scale.max}`
  const hint = `Set max = 1 under [scale], or leave ${fixed} out.`
  return problems.concat(wrongKey([fixed], message, hint))
}

function checkAllow({ allow, connect }: Manifest): Problem[] {
  const owners = new Map<string, number>()
  const repeated = allow.flatMap((rule, index): Problem[] => {
    const key = `${rule.host} ${rule.port}`
    const first = owners.get(key)
    if (first === undefined) owners.set(key, index)
    if (first === undefined) return []
    const message = `${formatOutsideHost(rule)} is the same host and port as allow[${first}]`
    return [wrong(['allow', index], message, 'Keep one of them.')]
  })
  const count = listNamedHosts(allow).length + connect.length
  if (count <= REACHED_MAX) return repeated
  const message = `needs ${count} hosts and ports, with those that wildcards give; there is room for ${REACHED_MAX}`
  const hint = 'Leave out names that a wildcard covers anyway.'
  return repeated.concat(wrongKey(['allow'], message, hint))
}

function checkConnections({ name, connect, allow }: Manifest): Problem[] {
  const problems: Problem[] = []
  const targets = new Map<string, number>()
  for (const [index, connection] of connect.entries()) {
    const path = ['connect', index] as const
    const as = connection.as ?? connection.task
    const named: KeyPath = [...path, connection.as === undefined ? 'task' : 'as']
    if (connection.task === name) {
      problems.push(wrong([...path, 'task'], 'is this task itself', 'Name another task.'))
    }
    if (as === 'localhost')
      problems.push(wrong(named, '"localhost" is the instance itself', 'Choose another name.'))
    const other = allow.find(({ host }) => host === as || isCovered(as, host))
    if (other !== undefined) {
      problems.push(
        wrong(
          named,
          `"${as}" is a host of "allow" too${other.host === as ? '' : `, by "${other.host}"`}`,
          'Give the connection another name with "as".',
        ),
      )
    }
    if (connection.kind === 'tcp' && connection.port === undefined) {
      problems.push(
        wrongKey(
          [...path, 'port'],
          'is missing',
          'Write the port of the other task, such as port = 5432.',
        ),
      )
    }
    const target = `${as}:${connection.port ?? 80}`
    const first = targets.get(target)
    targets.set(target, first ?? index)
    if (first === undefined) continue
    problems.push(
      wrong(
        named,
        `${target} is already connect[${first}]`,
        'Choose another name with "as", or another port.',
      ),
    )
  }
  return problems
}

/**
 * Names to reach have loopback addresses of their own inside an instance, and are listened for there. A server that
 * listens on every address (as most do) could then not have the same port.
 */
function checkReachable({ http, port: ports, connect, allow, network }: Manifest): Problem[] {
  if (!reachesDeclared({ network })) return []
  const reached = new Map<number, string>([
    ...allow.map(({ host, port }) => [port, host] as const),
    ...connect.map(
      (connection) => [connection.port ?? 80, connection.as ?? connection.task] as const,
    ),
  ])
  const own: readonly [number, KeyPath][] = [
    ...(http === undefined ? [] : [[http.port, ['http', 'port']] as [number, KeyPath]]),
    ...ports.map(({ port }, index): [number, KeyPath] => [port, ['port', index, 'port']]),
  ]
  return own.flatMap(([port, path]) => {
    const host = reached.get(port)
    if (host === undefined) return []
    const hint =
      'Listen on another port, such as 8080: it is seen inside the instance only, and routes stay the same.'
    return [wrong(path, `${port} is needed inside the instance to reach ${host}:${port}`, hint)]
  })
}

function checkVariables({ env, http, config }: Manifest): Problem[] {
  const tables: readonly [KeyPath, Readonly<Record<string, string>>][] = [
    [['env'], env],
    ...Object.entries(config).map(
      ([name, { env: own }]) => [['config', name, 'env'], own] as [KeyPath, typeof own],
    ),
  ]
  return tables.flatMap(([path, variables]) => {
    const found = checkEnvironment(variables).map(({ name, message, hint }) =>
      wrongKey([...path, name], message, hint),
    )
    const port = variables['PORT']
    if (http === undefined || port === undefined || port === String(http.port)) return found
    const message = `"${port}" is not http.port, which is ${http.port}`
    const hint = 'Leave it out: $PORT is given by http.port.'
    return found.concat(wrong([...path, 'PORT'], message, hint))
  })
}

function checkConfigs({ config, default_config: chosen }: Manifest): Problem[] {
  const names = Object.keys(config)
  const problems: Problem[] = []
  if (chosen !== undefined && !names.includes(chosen)) {
    problems.push(
      wrong(['default_config'], `there is no [config.${chosen}]`, suggestConfig(chosen, names)),
    )
  }
  for (const [name, { base }] of Object.entries(config)) {
    const path = ['config', name] as const
    try {
      parseName(name, 'name of a configuration')
    } catch {
      problems.push(wrongKey(path, 'is not a name', 'Use lower-case letters, digits and hyphens.'))
    }
    if (base === undefined) continue
    if (/[:/@]/.test(base)) {
      const message = 'is not there yet: starting from a package comes with the market'
      problems.push({ path: [...path, 'base'], at: 'value', message, isLater: true })
    } else if (!names.includes(base)) {
      problems.push(
        wrong([...path, 'base'], `there is no [config.${base}]`, suggestConfig(base, names)),
      )
    } else if (isCircular(name, config)) {
      problems.push(
        wrong(
          [...path, 'base'],
          'leads back to this configuration',
          'Let one of them have no base.',
        ),
      )
    }
  }
  return problems
}

function isCircular(name: string, config: Manifest['config']): boolean {
  const seen = new Set<string>()
  let base = config[name]?.base
  while (base !== undefined && base !== name && !seen.has(base)) {
    seen.add(base)
    base = config[base]?.base
  }
  return base === name
}

/** The hint for a name of a configuration that does not exist. */
export function suggestConfig(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names)
  if (nearest !== undefined) return `Did you mean "${nearest}"?`
  return names.length === 0
    ? 'The manifest has no [config.NAME].'
    : `There are: ${names.join(', ')}.`
}

function wrong(path: KeyPath, message: string, hint?: string): Problem {
  return { path, at: 'value', message, hint }
}

function wrongKey(path: KeyPath, message: string, hint?: string): Problem {
  return { path, at: 'key', message, hint }
}
