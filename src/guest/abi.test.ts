import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { lowerPackage } from './abi.ts'
import { readGuestInterface } from './bindings.ts'
import { parseWit } from './wit.ts'

/** Reserved in C, C++, Rust or AssemblyScript, so that a binding could not have a parameter of this name. */
const RESERVED = new Set(
  `abstract as async auto await bool box break case catch char class const continue crate default delete do double dyn else
  enum export extends extern false final float fn for function goto if impl import in inline int interface let long loop
  macro match mod move mut namespace new null operator override package private protected public pub ref register return
  self short signed sizeof static struct super switch template this throw trait true try type typedef typeof union unsafe
  unsized unsigned use using var virtual void volatile where while with yield into capacity`.split(
    /\s+/,
  ),
)

suite('how WIT becomes parameters and results', () => {
  const cases = [
    ['f: func();', [], []],
    ['f: func(a: u32, b: u64);', ['i32', 'i64'], []],
    ['f: func(name: string, data: list<u8>) -> u32;', ['i32', 'i32', 'i32', 'i32'], ['i32']],
    ['f: func() -> u64;', [], ['i64']],
    ['f: func(a: u32) -> string;', ['i32', 'i32', 'i32'], ['i32']],
    ['f: func() -> result<_, error>;', [], ['i32']],
    ['f: func() -> result<list<u8>, error>;', ['i32', 'i32'], ['i32']],
  ] as const
  for (const [source, params, results] of cases) {
    test(source, () => {
      const text = `package a:b@1.0.0; world w { import ${source} }`
      const [lowered] = lowerPackage(parseWit(text))
      assert.deepEqual(lowered?.params, params)
      assert.deepEqual(lowered?.results, results)
    })
  }
})

test('comments, interfaces and async are kept', () => {
  const text = `
    package a:b@1.0.0;
    interface i {
      use t.{error};
      /// One
      /// two.
      set-it: async func(a: u32) -> result<u32, error>;
    }
    /// World.
    world w { import i; }`
  const [lowered] = lowerPackage(parseWit(text))
  assert.equal(lowered?.name, 'i_set_it')
  assert.equal(lowered?.docs, 'One\ntwo.')
  assert.ok(lowered?.mayWait && lowered.isFallible)
})

test('what is not WIT is a bug', () => {
  for (const text of [
    '',
    'package a:b; foo',
    'package a:b; #',
    'package a:b; world w { export f; }',
  ]) {
    assert.throws(() => parseWit(text), { name: 'AssertionFailed' }, text)
  }
})

suite('quiver.wit', () => {
  const { functions, errors } = readGuestInterface()

  test('documents each function, error and level', () => {
    for (const { name, docs } of [...functions, ...errors]) assert.notEqual(docs, '', name)
  })

  test('has each name once', () => {
    const names = functions.map(({ module, name }) => `${module} ${name}`)
    assert.equal(new Set(names).size, names.length)
  })

  test('uses no word that a language reserves', () => {
    const params = functions.flatMap(({ values }) => values.map(({ name }) => name))
    assert.deepEqual(
      params.filter((name) => RESERVED.has(name)),
      [],
    )
  })
})
