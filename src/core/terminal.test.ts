import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { neutralise, neutraliseLine } from './terminal.ts'

suite('neutralise()', () => {
  const cases: readonly [what: string, text: string, shown: string][] = [
    ['keeps plain text', 'Grüße, 世界\t\n', 'Grüße, 世界\t\n'],
    ['shows escape sequences', '\u001b[2J', '\\x1b[2J'],
    ['shows a carriage return, which would overwrite the line', 'safe\rrm', 'safe\\x0drm'],
    ['shows backspace and bell', '\b\u0007', '\\x08\\x07'],
    ['shows one-byte control sequences', '\u009b31m', '\\x9b31m'],
    ['shows reordering', 'a\u202eb', 'a\\u202eb'],
  ]
  for (const [what, text, shown] of cases) {
    test(what, () => assert.equal(neutralise(text), shown))
  }
})

test('neutraliseLine() keeps a name on its line', () => {
  assert.equal(neutraliseLine('a\nb\r'), 'a\\nb\\x0d')
})
