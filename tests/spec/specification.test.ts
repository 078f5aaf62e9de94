/** SPECIFICATION.md is held to its word: every promise is pending or names tests and figures, and those exist. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'

const ROOT = path.join(import.meta.dirname, '../..')
const text = readFileSync(path.join(ROOT, 'SPECIFICATION.md'), 'utf8')

/** Rows of the tables: a promise, and what enforces it. */
const rows = text
  .split('\n')
  .filter(
    (line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.includes('enforced by |'),
  )
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, promise = '', enforced = '']) => ({ promise, enforced }))

suite('SPECIFICATION.md', () => {
  test('has promises', () => assert.ok(rows.length > 20))

  for (const { promise, enforced } of rows) {
    test(promise, () => {
      const isPending = enforced.includes('_pending_')
      const references = [...referencesIn(enforced)]
      assert.ok(isPending || references.length > 0, 'names neither a test nor a figure')
      for (const reference of references) {
        if ('figure' in reference) assertFigure(reference.figure, isPending)
        else assertTest(reference.file, reference.name)
      }
    })
  }
})

type Reference = { readonly file: string; readonly name: string } | { readonly figure: string }

/** `tests/a.test.ts` › `the name of a test`, `another`; `suite.case.statistic` */
function* referencesIn(enforced: string): Generator<Reference> {
  let file = ''
  for (const [, span = ''] of enforced.matchAll(/`([^`]+)`/g)) {
    if (span.endsWith('.ts')) {
      file = span
      yield { file, name: '' }
    } else if (isFigure(span)) yield { figure: span }
    else yield { file, name: span }
  }
}

/** `suite.case.statistic` */
function isFigure(span: string): boolean {
  return /^[a-z-]+\.[a-z-]+\.[a-z0-9]+$/.test(span)
}

function assertTest(file: string, name: string): void {
  assert.ok(existsSync(path.join(ROOT, file)), `there is no ${file}`)
  const source = readFileSync(path.join(ROOT, file), 'utf8')
  const quotes = ["'", '"', '`'].map((quote) => `${quote}${name}${quote}`)
  const isThere = name === '' || quotes.some((quoted) => source.includes(quoted))
  assert.ok(isThere, `${file} has no test "${name}"`)
}

/** Names are put together when they are reported: their parts stand in the suite, or in what all suites share. */
function assertFigure(name: string, isPending: boolean): void {
  const [suiteName = '', ...parts] = name.split('.')
  const file = path.join(ROOT, 'bench', `${suiteName}.ts`)
  if (isPending && !existsSync(file)) return
  assert.ok(existsSync(file), `there is no suite of benchmarks "${suiteName}"`)
  const shared = readFileSync(path.join(ROOT, 'bench/measure.ts'), 'utf8')
  const source = `${readFileSync(file, 'utf8')}\n${shared}`
  for (const part of parts) {
    assert.match(source, new RegExp(`['"\`.]${part}['"\`.]`), `${suiteName} reports no "${part}"`)
  }
}
