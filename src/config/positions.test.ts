import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { parse, stringify, TomlDate } from 'smol-toml'

import { scanPositions, type KeyPath, type Place } from './positions.ts'

suite('scanPositions()', () => {
  const text = [
    'name = "a" # not = here', // 1
    '"quoted key".\'x.y\' . bare = [1, [2,', // 2
    '  """three"" # \\""""], {a.b = 4}]', // 3
    '[http]', // 4
    'port = 80', // 5
    'when = 1979-05-27 07:32:00', // 6
    '[[port]]', // 7
    'port = 1', // 8
    '[[port]]', // 9
    '  port = 2', // 10
    '[port.sub]', // 11
    "text = '''", // 12
    "[not.a.table]''''", // 13
    '[a."b\\u0041"]', // 14
    'last=""', // 15
  ].join('\r\n')
  const quoted = ['quoted key', 'x.y', 'bare']

  const places: readonly [path: KeyPath, key: string | undefined, value: string | undefined][] = [
    [['name'], '1:1', '1:8'],
    [quoted, '2:22', '2:29'],
    [[...quoted, 0], '2:30', '2:30'],
    [[...quoted, 1, 1], '3:3', '3:3'],
    [[...quoted, 2, 'a', 'b'], '3:27', '3:31'],
    [['http'], '4:2', '4:2'],
    [['http', 'port'], '5:1', '5:8'],
    [['http', 'when'], '6:1', '6:8'],
    [['port', 0, 'port'], '8:1', '8:8'],
    [['port', 1], '9:3', '9:1'],
    [['port', 1, 'port'], '10:3', '10:10'],
    [['port', 1, 'sub', 'text'], '12:1', '12:8'],
    [['a', 'bA', 'last'], '15:1', '15:6'],
    [['not'], undefined, undefined],
  ]
  const positions = scanPositions(text)
  for (const [path, key, value] of places) {
    test(`finds ${path.join(' ▸ ')}`, () => {
      assert.doesNotThrow(() => parse(text))
      assert.equal(show(positions.key(path)), key)
      assert.equal(show(positions.value(path)), value)
    })
  }

  test('ends on text that is not TOML', () => {
    for (const broken of [
      '[',
      '[[',
      '= 3',
      'a',
      'a =',
      'a = [',
      'a = {',
      '"a',
      'a = """',
      ']]',
      '{',
    ]) {
      scanPositions(broken)
    }
  })
})

test('every value of random documents is found, and what stands there is the value', () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = randomFrom(seed)
    const object = randomTable(random, 3)
    for (const text of [stringify(object), writeTable(random, object)]) {
      const positions = scanPositions(text)
      const lines = text.split('\n')
      for (const [path, value] of leavesOf(parse(text), [])) {
        const place = positions.value(path)
        assert.ok(place && positions.key(path), `seed ${seed}: ${JSON.stringify(path)}\n${text}`)
        const rest = [lines[place.line - 1]?.slice(place.column - 1), ...lines.slice(place.line)]
        assert.deepEqual(
          readScalar(rest.join('\n')),
          value,
          `seed ${seed}: ${path.join('.')}\n${text}`,
        )
      }
    }
  }
})

/** The scalar that `text` begins with: its shortest start that parses to the end of a token. */
function readScalar(text: string): unknown {
  for (let end = 1; end <= text.length; end++) {
    const isEnd = end === text.length || /[\s,\]}]/.test(text.charAt(end))
    if (!isEnd) continue
    try {
      return parse(`x = ${text.slice(0, end)}`)['x']
    } catch {
      continue
    }
  }
  return undefined
}

function leavesOf(value: unknown, path: KeyPath): readonly [KeyPath, unknown][] {
  if (typeof value !== 'object' || value === null || value instanceof TomlDate)
    return [[path, value]]
  const isArray = Array.isArray(value)
  return Object.entries(value).flatMap(([key, inner]) =>
    leavesOf(inner, [...path, isArray ? Number(key) : key]),
  )
}

function show(place: Place | undefined): string | undefined {
  return place && `${place.line}:${place.column}`
}

type Random = (below: number) => number
type Tree = { [key: string]: string | number | boolean | Tree | Tree[] | (string | number)[] }

/** A small generator with a seed (mulberry32), so that a failure can be replayed. */
function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const KEYS = ['a', 'b-c', 'x.y', 'with space', '#', '[k]', '"q"', "it's", '', 'ü', 'back\\slash']
const TEXTS = ['', 'plain', '# no', 'a = [', '"', "'", '\n[x]\n', '"""', "'''", '\\', 'end"', 'ü €']

function randomTable(random: Random, depth: number): Tree {
  const table: Tree = {}
  for (let count = 1 + random(4); count > 0; count--) {
    const key = KEYS[random(KEYS.length)] ?? 'k'
    const kind = random(depth > 0 ? 6 : 4)
    if (kind < 2) table[key] = TEXTS[random(TEXTS.length)] ?? ''
    else if (kind === 2) table[key] = random(1000)
    else if (kind === 3)
      table[key] = Array.from({ length: random(4) }, () => TEXTS[random(12)] ?? 1)
    else if (kind === 4) table[key] = randomTable(random, depth - 1)
    else table[key] = Array.from({ length: 1 + random(2) }, () => randomTable(random, depth - 1))
  }
  return table
}

/** Writes every table inline or as dotted keys, with odd but legal spacing and strings. */
function writeTable(random: Random, table: Tree, prefix = ''): string {
  return Object.entries(table)
    .map(([key, value]) => {
      const name = prefix + writeKey(random, key)
      if (isTree(value) && random(2) === 0) return writeTable(random, value, `${name} . `)
      return `${random(3) === 0 ? '\n# x = 1\n  ' : ''}${name}${random(2) === 0 ? '=' : '\t= '}${writeValue(random, value)}\n`
    })
    .join('')
}

function writeValue(random: Random, value: Tree[string] | string): string {
  if (typeof value === 'string') return writeString(random, value)
  if (Array.isArray(value)) {
    const gap = random(2) === 0 ? ', ' : ', # [\n\t'
    return `[${value.map((inner) => writeValue(random, inner)).join(gap)}${random(2) === 0 ? '\n' : ''}]`
  }
  if (!isTree(value)) return String(value)
  const pairs = Object.entries(value).map(
    ([key, inner]) => `${writeKey(random, key)} = ${writeValue(random, inner)}`,
  )
  return `{ ${pairs.join(', ')} }`
}

function writeKey(random: Random, key: string): string {
  if (/^[a-z-]+$/.test(key) && random(2) === 0) return key
  return key.includes("'") || random(2) === 0 ? JSON.stringify(key) : `'${key}'`
}

function writeString(random: Random, text: string): string {
  const style = random(4)
  if (style === 0 && !/['\n]/.test(text)) return `'${text}'`
  if (style === 1 && !text.includes("''")) return `'''\n${text}'''`
  if (style === 2 && !/\\|"""/.test(text)) return `"""\n${text}"""`
  return JSON.stringify(text)
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
