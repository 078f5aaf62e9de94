/** The documents: their links lead somewhere, and the commands and reasons that they name exist. */

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'

import { findStale } from '../scripts/generate.ts'
import { parseManifest } from '../src/config/manifest.ts'

const ROOT = path.join(import.meta.dirname, '..')
const FOLDERS = ['*.md', 'docs/**/*.md', 'examples/**/*.md', 'templates/**/*.md']
/** `src/core/task.ts`; not what is made first, nor `tests/*.test.ts` or `src/<folder>`. */
const REPOSITORY_PATH =
  /`((?:src|tests|native|docs|scripts|bench|recipes|examples|schema|templates)\/(?!build\/)[\w./-]+)`/g
const REASON = /`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/g

const documents = globSync(FOLDERS, { cwd: ROOT, exclude: ['node_modules/**'] })
const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => !file.endsWith('.test.ts'))
const commands = readCommands()

suite('documents', () => {
  for (const file of documents) {
    const text = read(file)

    test(`the links of ${file} lead somewhere`, () => {
      for (const [, target = ''] of withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (!/^[a-z]+:/.test(target)) assertLink(file, target)
      }
    })

    test(`the files of this repository that ${file} names exist`, () => {
      for (const [, name = ''] of text.matchAll(REPOSITORY_PATH)) {
        assert.ok(existsSync(path.join(ROOT, name)), `there is no ${name}`)
      }
    })

    test(`the commands that ${file} names exist`, () => assertCommands(text))
  }

  for (const file of documents.filter((name) => name.startsWith('docs/guides/'))) {
    test(`the reasons that ${file} names are in docs/reference/errors.md`, () => {
      const known = read('docs/reference/errors.md')
      for (const [, reason = ''] of read(file).matchAll(REASON)) {
        if (reason.startsWith('QUIVER_')) continue
        assert.ok(known.includes(`\`${reason}\``), `there is no reason ${reason}`)
      }
    })

    test(`the manifests in ${file} are valid`, () => {
      for (const [, manifest = ''] of read(file).matchAll(/^```toml\n([^]*?)^```$/gm)) {
        parseManifest(manifest)
      }
    })
  }
})

test('generated files are what their generators write', async () => {
  assert.deepEqual(await findStale(), [], 'run "npm run generate"')
})

test('the layers of ARCHITECTURE.md are those that tests/tidy.test.ts enforces', () => {
  const layers = new Map(
    [...read('ARCHITECTURE.md').matchAll(/^\| `src\/(\w+)` .*\|([^|]*)\|$/gm)].map(
      ([, folder = '', imports = '']) => [folder, imports.trim()],
    ),
  )
  const rules = [...read('tests/tidy.test.ts').matchAll(/^  (\w+): \[(.*)\],$/gm)]
  assert.ok(rules.length > 10)
  for (const [, folder = '', imports = ''] of rules) {
    const names = imports.replaceAll("'", '')
    assert.equal(layers.get(folder), names === '' ? 'nothing' : names, folder)
  }
})

suite('messages of the source', () => {
  for (const file of sources) {
    const quoted = [...read(file).matchAll(/"quiver ([^"\n]*)"/g)].map(([whole]) => whole)
    if (quoted.length === 0) continue
    test(`the commands that ${file} names exist`, () => assertCommands(quoted.join('\n')))
  }
})

/** Every command and its flags, from the generated reference, which the command tree is checked against. */
function readCommands(): ReadonlyMap<string, string> {
  const sections = read('docs/reference/cli.md')
    .split(/^## quiver /m)
    .slice(1)
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n')
      return [section.slice(0, end).trim(), section]
    }),
  )
}

/** `quiver logs -f hello`: in quotes, in code, or at the beginning of a line, perhaps after a path or an `&&`. */
function assertCommands(text: string): void {
  const calls = text.matchAll(/(?:["`]|^ *|&& |\$ |bin\/)quiver ([a-z][^"`\n]*)/gm)
  for (const [, call = ''] of calls) {
    const [usage = ''] = call.split(/ -- |\s+#|&&|[|>;)]/)
    const [verb = '', noun = ''] = usage.trim().split(/\s+/)
    const help = commands.get(`${verb} ${noun}`) ?? commands.get(verb)
    if (help === undefined)
      assert.ok(isProse(text, call), `there is no command "quiver ${verb} ${noun}"`)
    for (const [, flag = ''] of usage.matchAll(/\s(--[a-z][a-z-]*)/g)) {
      const isKnown = help === undefined || help.includes(flag) || GLOBAL_FLAGS.has(flag)
      assert.ok(isKnown, `"quiver ${verb}" has no flag ${flag}`)
    }
  }
}

const GLOBAL_FLAGS = new Set(['--host', '--token', '--data', '--help'])

/** A sentence that happens to begin with the name, which code never does. */
function isProse(text: string, call: string): boolean {
  return !/["`/$]quiver/.test(text.slice(Math.max(0, text.indexOf(call) - 9), text.indexOf(call)))
}

function assertLink(file: string, target: string): void {
  const [relative = '', anchor] = target.split('#')
  const found = relative === '' ? file : path.join(path.dirname(file), decodeURIComponent(relative))
  assert.ok(existsSync(path.join(ROOT, found)), `${target} leads nowhere`)
  if (anchor === undefined || statSync(path.join(ROOT, found)).isDirectory()) return
  const headings = read(found).matchAll(/^#+ (.*)$/gm)
  const anchors = [...headings].map(([, heading = '']) => anchorOf(heading))
  assert.ok(anchors.includes(anchor), `${target}: there is no such heading`)
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
  return plain.trim().replaceAll(' ', '-')
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[^]*?^```$/gm, '')
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8')
}
