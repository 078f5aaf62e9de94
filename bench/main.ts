/**
 * `npm run bench -- [SUITE …] [--n N]`: runs the suites named, or all, one after the other.
 *
 * What the names of the figures mean is in docs/guides/bench.md.
 */

import { parseArgs } from 'node:util'

import { say } from './measure.ts'
import type { Suite } from './suite.ts'

const SUITES: Readonly<Record<string, () => Promise<Suite>>> = {
  'sandbox-cold': () => import('./sandbox-cold.ts'),
  'sandbox-resume': () => import('./sandbox-resume.ts'),
  proxy: () => import('./proxy.ts'),
  herd: () => import('./herd.ts'),
  wakes: () => import('./wakes.ts'),
  density: () => import('./density.ts'),
  image: () => import('./image.ts'),
  wasm: () => import('./wasm.ts'),
  'wasm-component': () => import('./wasm-component.ts'),
  'wasm-neighbours': () => import('./wasm-neighbours.ts'),
  microvm: () => import('./microvm.ts'),
  'microvm-crowd': () => import('./microvm-crowd.ts'),
  cli: () => import('./cli.ts'),
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { n: { type: 'string' }, list: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  if (values.list) {
    say(Object.keys(SUITES).join('\n'))
    return
  }
  const names = positionals.length === 0 ? Object.keys(SUITES) : positionals
  const unknown = names.find((name) => !Object.hasOwn(SUITES, name))
  const n = values.n === undefined ? undefined : Number(values.n)
  if (unknown !== undefined || (n !== undefined && !(Number.isInteger(n) && n > 0))) {
    say(
      unknown === undefined
        ? 'error: --n is a whole number above 0'
        : `error: no suite "${unknown}"`,
    )
    say(`hint: npm run bench -- [${Object.keys(SUITES).join(' | ')}] [--n 50]`)
    process.exitCode = 64
    return
  }
  for (const name of names) {
    const load = SUITES[name]
    if (load === undefined) continue
    say(`${name} …`)
    const suite = await load()
    await suite.run(n === undefined ? {} : { n })
  }
}

await main()
