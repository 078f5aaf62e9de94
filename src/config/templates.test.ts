import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import { parse } from 'smol-toml'

import { parseManifest } from './manifest.ts'
import {
  formatTemplate,
  parseTemplateName,
  renderTemplate,
  TEMPLATES,
  writeTemplate,
  type TemplateFiles,
} from './templates.ts'

const NAMES = Object.keys(TEMPLATES).map(parseTemplateName)

suite('every template', () => {
  test('is a folder of templates/, and every folder is one', async () => {
    const folders = await readdir(path.join(import.meta.dirname, '../../templates'))
    assert.deepEqual(folders.toSorted(), NAMES.toSorted())
  })

  for (const template of NAMES) {
    test(`${template} has a valid manifest with the chosen name`, async () => {
      const files = await renderTemplate(template, 'web-1')
      const text = files.get('quiver.toml')?.text ?? ''
      const manifest = parseManifest(text, `${template}/quiver.toml`)
      assert.equal(manifest.name, 'web-1')
      assert.ok(files.size > 1)
      for (const [file, content] of files) {
        assert.ok(!content.text.includes('my-app') && !content.text.includes('#:'), file)
      }
    })

    test(`${template} has comments that can be uncommented`, async () => {
      const text = (await renderTemplate(template, 'web')).get('quiver.toml')?.text ?? ''
      // Only `base` cannot: it names another configuration, which has to be written first.
      const isComment = /^# (?!base)(\[{1,2}[a-z.]+\]{1,2}|[a-z_0-9]+ = )/i
      const lines = text.split('\n').map((line) => (isComment.test(line) ? line.slice(2) : line))
      parse(lines.join('\n'))
      const first = lines.findIndex((line) => line.startsWith('['))
      const original = text.split('\n').slice(0, first)
      const sections = [...original, ...lines.slice(first)].join('\n')
      parseManifest(sections, `${template}/quiver.toml`)
    })
  }

  test('looks like this', async (t) => {
    t.assert.snapshot(formatTemplate(await renderTemplate('redis', 'cache')).split('\n'))
  })

  test('keeps scripts executable', async () => {
    const files = await renderTemplate('busybox', 'x')
    assert.equal(files.get('main.sh')?.isExecutable, true)
    assert.equal(files.get('quiver.toml')?.isExecutable, false)
  })

  test('takes only names of tasks, and suggests templates', async () => {
    await assert.rejects(renderTemplate('node', 'A_b'), { reason: 'NAME_INVALID' })
    assert.throws(() => parseTemplateName('pyhton'), {
      code: 'not_found',
      reason: 'TEMPLATE_NOT_FOUND',
      hint: 'Did you mean "python"?',
    })
    assert.throws(() => parseTemplateName('toString'), { reason: 'TEMPLATE_NOT_FOUND' })
  })
})

suite('writeTemplate()', () => {
  const files: TemplateFiles = new Map([
    ['a.txt', { text: 'a', isExecutable: false }],
    ['sub/run.sh', { text: 'run', isExecutable: true }],
  ])

  test('makes the folder and keeps modes', async (t) => {
    const folder = path.join(await temporaryFolder(t), 'new')
    await writeTemplate(folder, files, { force: false })
    assert.equal(await readFile(path.join(folder, 'sub/run.sh'), 'utf8'), 'run')
    assert.equal((await stat(path.join(folder, 'sub/run.sh'))).mode & 0o111, 0o111)
  })

  test('writes nothing when one file exists, and names it', async (t) => {
    const folder = await temporaryFolder(t)
    await mkdir(path.join(folder, 'sub'))
    await writeFile(path.join(folder, 'sub/run.sh'), 'mine')
    await assert.rejects(writeTemplate(folder, files, { force: false }), {
      code: 'already_exists',
      reason: 'FILES_EXIST',
      message: /has sub\/run\.sh already/,
    })
    assert.deepEqual(await readdir(folder), ['sub'])
    assert.equal(await readFile(path.join(folder, 'sub/run.sh'), 'utf8'), 'mine')
  })

  test('with force it replaces files, and links rather than what they point to', async (t) => {
    const folder = await temporaryFolder(t)
    const outside = path.join(await temporaryFolder(t), 'outside')
    await writeFile(outside, 'precious')
    await chmod(outside, 0o600)
    await symlink(outside, path.join(folder, 'a.txt'))
    await assert.rejects(writeTemplate(folder, files, { force: false }), { reason: 'FILES_EXIST' })
    await writeTemplate(folder, files, { force: true })
    assert.equal(await readFile(outside, 'utf8'), 'precious')
    assert.equal(await readFile(path.join(folder, 'a.txt'), 'utf8'), 'a')
    assert.deepEqual((await readdir(folder)).toSorted(), ['a.txt', 'sub'])
  })

  test('also with force it does not put a file where a folder is, or the other way round', async (t) => {
    const folder = await temporaryFolder(t)
    await writeFile(path.join(folder, 'sub'), 'a file')
    await assert.rejects(writeTemplate(folder, files, { force: true }), {
      message: /sub is not a folder/,
    })
    assert.deepEqual(await readdir(folder), ['sub'])
    await rm(path.join(folder, 'sub'))
    await mkdir(path.join(folder, 'a.txt'))
    await assert.rejects(writeTemplate(folder, files, { force: true }), {
      message: /a\.txt is a folder/,
    })
    assert.deepEqual(await readdir(folder), ['a.txt'])
  })
})

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'quiver-template-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
