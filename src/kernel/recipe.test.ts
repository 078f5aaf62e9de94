import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { suite, test } from 'node:test'

import { FRAGMENT, linesNotKept, parseConfig } from './recipe.ts'

suite('recipe of the kernel', () => {
  test('a line that is off is read in both its spellings', () => {
    const text = 'CONFIG_A=y\nCONFIG_B=n\n# CONFIG_C is not set\n# a remark\nCONFIG_D="x=y"\n'
    assert.deepEqual(parseConfig(text), [
      { name: 'CONFIG_A', value: 'y' },
      { name: 'CONFIG_B', value: null },
      { name: 'CONFIG_C', value: null },
      { name: 'CONFIG_D', value: '"x=y"' },
    ])
  })

  test('a line that a configuration dropped or changed is named', () => {
    const fragment = 'CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=7\nCONFIG_D=n\n'
    assert.deepEqual(linesNotKept(fragment, 'CONFIG_A=y\nCONFIG_C=7\n'), [])
    assert.deepEqual(linesNotKept(fragment, 'CONFIG_C=8\nCONFIG_D=y\n'), [
      'CONFIG_A=y',
      'CONFIG_C=7',
      'CONFIG_D=n',
    ])
  })

  test('no option of the fragment is there twice', async () => {
    const names = parseConfig(await readFile(FRAGMENT, 'utf8')).map(({ name }) => name)
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    )
  })
})
