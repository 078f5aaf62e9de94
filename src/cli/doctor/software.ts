/** What is installed: programs, headers, and the native parts that are built from them. */

import { access, constants, stat } from 'node:fs/promises'
import path from 'node:path'

import { finding, packages } from './finding.ts'
import type { Finding } from './finding.ts'

export const PACKAGE_ROOT = path.resolve(import.meta.dirname, '../../..')

const PROGRAM_FOLDERS = [
  '/usr/local/bin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
]

interface Wanted {
  readonly feature: string
  /** Any of these. */
  readonly paths: readonly string[]
  readonly package: string
  readonly isRequired: boolean
  readonly remedy: string
}

const SOFTWARE: readonly Wanted[] = [
  {
    feature: 'C compiler',
    paths: inPath('gcc', 'cc'),
    package: 'gcc',
    isRequired: true,
    remedy: 'The native parts are built with it.',
  },
  {
    feature: 'C library headers',
    paths: ['/usr/include/stdio.h'],
    package: 'libc6-dev',
    isRequired: true,
    remedy: 'The native parts are built with them.',
  },
  {
    feature: 'shell to lend to "quiver exec"',
    paths: ['/bin/busybox', '/usr/bin/busybox'],
    package: 'busybox-static',
    isRequired: false,
    remedy: 'Without it "quiver exec NAME -- sh" works only where the image has a shell.',
  },
  {
    feature: 'openssl',
    paths: inPath('openssl'),
    package: 'openssl',
    isRequired: false,
    remedy: 'The self-signed certificate of HTTPS is made with it.',
  },
]

const EXAMPLES: readonly Wanted[] = [
  example('python3', inPath('python3'), 'python3'),
  example('nginx', inPath('nginx'), 'nginx-light'),
  example('redis', inPath('redis-server'), 'redis-server'),
]

/** @param hasExamples  also what the examples need */
export async function checkSoftware(hasExamples: boolean): Promise<readonly Finding[]> {
  const wanted = hasExamples ? [...SOFTWARE, ...EXAMPLES] : SOFTWARE
  const found = await Promise.all(wanted.map(checkOne))
  return [...found, await checkNative()]
}

async function checkOne(wanted: Wanted): Promise<Finding> {
  const present = await Promise.all(wanted.paths.map(isReadable))
  const { feature, isRequired, remedy } = wanted
  return finding(feature, present.includes(true), {
    isRequired,
    detail: wanted.paths[present.indexOf(true)] ?? '',
    remedy,
    fix: packages(wanted.package),
  })
}

/** Present when each part is newer than its source: as `scripts/build-native` sees it. */
async function checkNative(): Promise<Finding> {
  const folder = path.join(PACKAGE_ROOT, 'native')
  const parts: readonly [built: string, source: string][] = [
    ['build/ainit', 'ainit'],
    ['build/fds.node', 'fds'],
    ['build/private-memory.so', 'vmm'],
    ['build/first-process', 'vmm'],
  ]
  const fresh = await Promise.all(
    parts.map(async ([built, source]) => {
      const [result, from] = await Promise.all([
        stat(path.join(folder, built)).catch(() => undefined),
        stat(path.join(folder, source)).catch(() => undefined),
      ])
      return result !== undefined && from !== undefined && result.mtimeMs >= from.mtimeMs
    }),
  )
  return finding('native parts', !fresh.includes(false), {
    detail: path.join(folder, 'build'),
    remedy: 'Nothing starts without them.',
    fix: { kind: 'build' },
  })
}

function example(name: string, paths: readonly string[], from: string): Wanted {
  const remedy = `Examples and images with runtime = "${name}" need it.`
  return { feature: `${name}, for the examples`, paths, package: from, isRequired: false, remedy }
}

function inPath(...names: readonly string[]): readonly string[] {
  return names.flatMap((name) => PROGRAM_FOLDERS.map((folder) => path.join(folder, name)))
}

async function isReadable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
}
