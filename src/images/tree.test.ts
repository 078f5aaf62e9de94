import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { fileEntry } from '../../tests/fixtures/images.ts'
import { digestOf } from '../core/digest.ts'

import type { TreeEntry } from './images.ts'
import { checkTree, comparePaths, foldersOf, missingSkeleton, symlinkStaysInside } from './tree.ts'

const link = (path: string, target: string): TreeEntry => ({ kind: 'symlink', path, target })

suite('checkTree()', () => {
  test('accepts a sorted tree of files, symlinks and empty folders', () => {
    checkTree([fileEntry('a', ''), { kind: 'folder', path: 'b' }, link('c/d', '../a')], 'image')
  })

  const refused: readonly [why: string, tree: readonly TreeEntry[], reason: string][] = [
    ['an absolute path', [fileEntry('/a', '')], 'PATH_ESCAPES'],
    ['a path with ..', [fileEntry('a/../../b', '')], 'PATH_ESCAPES'],
    ['an absolute symlink', [link('a', '/etc')], 'PATH_ESCAPES'],
    ['a symlink that leads out', [link('a/b', '../../c')], 'PATH_ESCAPES'],
    ['a symlink with .. behind a name', [link('a', 'b/../c')], 'PATH_ESCAPES'],
    ['an empty path', [fileEntry('', '')], 'TREE_INVALID'],
    ['an empty component', [fileEntry('a//b', '')], 'TREE_INVALID'],
    ['a dot', [fileEntry('./a', '')], 'TREE_INVALID'],
    ['a NUL', [fileEntry('a\0b', '')], 'TREE_INVALID'],
    ['a lone surrogate', [fileEntry('a\ud800', '')], 'TREE_INVALID'],
    ['a long name', [fileEntry('a'.repeat(256), '')], 'TREE_INVALID'],
    ['a wrong order', [fileEntry('b', ''), fileEntry('a', '')], 'TREE_INVALID'],
    ['a path twice', [fileEntry('a', ''), fileEntry('a', 'x')], 'TREE_INVALID'],
    ['a file below a file', [fileEntry('a', ''), fileEntry('a/b', '')], 'TREE_INVALID'],
    ['a file below a symlink', [link('a', 'b'), fileEntry('a/b', '')], 'TREE_INVALID'],
    [
      'a listed folder that is not empty',
      [{ kind: 'folder', path: 'a' }, fileEntry('a/b', '')],
      'TREE_INVALID',
    ],
    [
      'too many bytes',
      [
        {
          kind: 'file',
          path: 'a',
          digest: digestOf(''),
          bytes: 5 * 1024 ** 3,
          isExecutable: false,
        },
      ],
      'TREE_TOO_LARGE',
    ],
  ]
  for (const [why, tree, reason] of refused) {
    test(`refuses ${why}`, () => {
      assert.throws(() => checkTree(tree, 'image'), { reason })
    })
  }
})

suite('symlinkStaysInside()', () => {
  const cases: readonly [path: string, target: string, isInside: boolean][] = [
    ['a', 'b', true],
    ['a', './b', true],
    ['a/b', '..', true],
    ['a/b', '../../x', false],
    ['a/b/c', '../../x', true],
    ['a', '..', false],
    ['a', '', false],
    ['a', 'x/..', false],
  ]
  for (const [path, target, isInside] of cases) {
    test(`${path} → ${target || '(nothing)'} ${isInside ? 'stays inside' : 'is refused'}`, () => {
      assert.equal(symlinkStaysInside(path, target), isInside)
    })
  }
})

suite('missingSkeleton()', () => {
  test('leaves out what the binary brings', () => {
    const tree = [fileEntry('etc/hosts', ''), fileEntry('usr/bin/x', '', true)]
    const paths = new Set(missingSkeleton(tree, 'binary').map((entry) => entry.path))
    assert.ok(!paths.has('etc/hosts') && !paths.has('usr/bin'))
    assert.ok(paths.has('etc/passwd') && paths.has('proc') && paths.has('.ainit'))
  })

  for (const tree of [[fileEntry('tmp', '')], [link('etc', 'usr/etc')], [link('proc', 'x')]]) {
    test(`refuses ${JSON.stringify(tree[0]?.kind)} in the place of ${tree[0]?.path}`, () => {
      assert.throws(() => missingSkeleton(tree, 'binary'), { reason: 'TREE_INVALID' })
    })
  }
})

test('comparePaths() orders by bytes, also beyond the basic plane', () => {
  const paths = ['b', 'a', 'a/b', 'ab', 'a.b', '\u{1f600}', '\uffee', 'é', 'z']
  const byBytes = paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  assert.deepEqual(paths.toSorted(comparePaths), byBytes)
})

test('foldersOf() lists parents before children, each once', () => {
  const folders = foldersOf([fileEntry('b/c/d', ''), fileEntry('a/x', ''), fileEntry('b/e', '')])
  assert.deepEqual(folders, ['a', 'b', 'b/c'])
})
