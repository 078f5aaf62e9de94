/**
 * Writes `src/executor/wasi02/signatures.ts` from a component that imports all of WASI 0.2.
 *
 * Such a component is made with wasm-tools, when an interface gains functions: a world that includes `wasi:cli/imports` and imports
 * `wasi:http`, `wasi:config` and `wasi:logging`, as a module (`wasm-tools component embed --dummy`) and then a component (`component new`).
 *
 *     scripts/node scripts/wasi-signatures.ts all.wasm
 */

import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { planComponent } from '../src/executor/component/link.ts'
import { hashSignature } from '../src/executor/component/types.ts'

const [file = ''] = process.argv.slice(2)
const { imports } = planComponent(await readFile(file))
const interfaces = new Map<string, string[]>()
for (const { interface: name, name: func, type } of imports) {
  const lines = interfaces.get(name) ?? []
  interfaces.set(name, [...lines, `    '${func}': '${hashSignature(type)}',`])
}
const body = [...interfaces]
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, lines]) => `  '${name}': {\n${lines.toSorted().join('\n')}\n  },`)
const text = `/** Types of the functions of WASI 0.2, each as the hash of its text. Made by scripts/wasi-signatures.ts: not to be edited. */

export const SIGNATURES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
${body.join('\n')}
}
`
await writeFile(path.join(import.meta.dirname, '../src/executor/wasi02/signatures.ts'), text)
