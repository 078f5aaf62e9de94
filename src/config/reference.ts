/**
 * Files that are generated from the schemas of configuration: the JSON Schema for editors and the references for people.
 * `scripts/generate.ts` writes them; a test finds those that are out of date.
 */

import type * as z from 'zod'

import { asSchema, buildJsonSchema, type JsonSchema } from './issues.ts'
import { LATER } from './later.ts'
import { flagOf, listSettings, variableOf } from './node.ts'
import { ManifestSchema } from './schema.ts'

/** One key of the manifest, as documentation shows it. */
export interface KeyReference {
  readonly name: string
  readonly type: string
  /** As TOML; undefined where there is none. */
  readonly default: string | undefined
  /** As TOML; what to write when there is no default. */
  readonly example: string | undefined
  readonly meaning: string
  readonly isRequired: boolean
}

export interface SectionReference {
  /** `limits`; empty for the keys above the first section. */
  readonly name: string
  /** As TOML writes it: `[limits]`, `[[port]]`, `[config.worker]`. */
  readonly header: string
  readonly meaning: string
  readonly keys: readonly KeyReference[]
}

/** The sections of `quiver.toml` in the order of the schema, those without keys of their own (`[env]`) too. */
export function listSections(): readonly SectionReference[] {
  return sectionsOf(ManifestSchema)
}

/** `schema/quiver.json`. */
export function buildManifestSchema(): string {
  const { $schema, ...schema } = buildJsonSchema(ManifestSchema)
  const document = {
    $schema,
    title: 'quiver.toml',
    description: 'How Quiver runs one application.',
    ...schema,
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

/** `docs/reference/manifest.md`. */
export function buildManifestReference(): string {
  const sections = listSections().map(({ name, header, meaning, keys }) => {
    const title = name === '' ? '## Above the first section' : `## \`${header}\``
    return [title, meaning, tableOf(keys)].filter((part) => part !== '').join('\n\n')
  })
  const later = Object.keys(LATER.keys).toSorted()
  const names = later.map((key) => `\`${key}\``).join(', ')
  return [
    '<!-- Generated from src/config/schema.ts by "npm run generate". Do not edit. -->',
    '# The keys of `quiver.toml`',
    'A guide with examples is in [../guides/manifest.md](../guides/manifest.md). Sizes are written with B, KiB, MiB or GiB, durations with ms, s, m or h. Unknown keys are errors.',
    ...sections,
    '## Not there yet',
    `These keys are refused with \`NOT_YET\` until a later version has them: ${names}.`,
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n')
}

/** `docs/reference/node.md`. */
export function buildNodeReference(): string {
  const rows = listSettings().map(({ name, schema }) => {
    const usual = schema.default === undefined ? '—' : `\`${formatValue(schema.default)}\``
    const flag = `\`${flagOf(name)}\``
    return `| \`${name}\` | \`${variableOf(name)}\` | ${flag} | ${usual} | ${schema.description ?? ''} |`
  })
  return [
    '<!-- Generated from src/config/node-schema.ts by "npm run generate". Do not edit. -->',
    '# The settings of a node',
    'What the operator of a machine chooses. A flag of `quiver up` wins over an environment variable, that over `<data>/node.toml`, that over `/etc/quiver/node.toml`. `quiver config print` shows every setting and where it came from.',
    'In a file, `listen.http` is the key `http` of the section `[listen]`. `<data>` is `/var/lib/quiver` for root, else `~/.local/share/quiver`; the run folder follows from it.',
    [
      '| setting | variable | flag | default | meaning |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n'),
    '',
  ]
    .join('\n\n')
    .replace(/\n+$/, '\n')
}

function sectionsOf(schema: z.ZodType): readonly SectionReference[] {
  const root = buildJsonSchema(schema)
  const top: SectionReference = { name: '', header: '', meaning: '', keys: keysOf(root, isPlain) }
  const sections = Object.entries(root.properties ?? {}).flatMap(([name, value]) => {
    const known = asSchema(value)
    return known === undefined || isPlain(known) ? [] : [sectionOf(name, known)]
  })
  return [top, ...sections]
}

function sectionOf(name: string, known: JsonSchema): SectionReference {
  const element = Array.isArray(known.items) ? undefined : asSchema(known.items)
  const member = known.properties === undefined ? asSchema(known.additionalProperties) : undefined
  const named = member?.properties === undefined ? undefined : member
  const inner = element ?? named ?? known
  const header =
    element !== undefined ? `[[${name}]]` : named !== undefined ? `[${name}.worker]` : `[${name}]`
  return { name, header, meaning: inner.description ?? '', keys: keysOf(inner, () => true) }
}

/** Whether it is written as `key = value` rather than as a section. */
function isPlain(known: JsonSchema): boolean {
  if (known.type === 'object') return false
  const element = Array.isArray(known.items) ? undefined : asSchema(known.items)
  return element?.type !== 'object'
}

function keysOf(
  parent: JsonSchema,
  isListed: (known: JsonSchema) => boolean,
): readonly KeyReference[] {
  return Object.entries(parent.properties ?? {}).flatMap(([name, value]) => {
    const known = asSchema(value)
    if (known === undefined || !isListed(known)) return []
    const [example] = known.examples ?? known.enum ?? []
    return [
      {
        name,
        type: typeOf(known),
        default: known.default === undefined ? undefined : formatValue(known.default),
        example: example === undefined ? undefined : formatValue(example),
        meaning: known.description ?? '',
        isRequired: parent.required?.includes(name) === true,
      },
    ]
  })
}

function typeOf(known: JsonSchema): string {
  if (known.enum !== undefined)
    return known.enum.map((value) => `\`${formatValue(value)}\``).join(', ')
  if (known.pattern?.includes('MiB') === true) return 'size'
  if (known.pattern?.includes('ms|s|m|h') === true) return 'duration'
  if (known.maximum !== undefined) return `${known.minimum ?? 0} to ${known.maximum}`
  if (known.type === 'array') return 'array of strings'
  if (known.type === 'object') return 'table of strings'
  return known.type === 'boolean' ? '`true`, `false`' : String(known.type)
}

function tableOf(keys: readonly KeyReference[]): string {
  if (keys.length === 0) return ''
  const rows = keys.map((key) => {
    const usual =
      key.default === undefined ? (key.isRequired ? '**required**' : '—') : `\`${key.default}\``
    const example =
      key.default === undefined && key.example !== undefined ? ` Example: \`${key.example}\`` : ''
    return `| \`${key.name}\` | ${key.type} | ${usual} | ${(key.meaning + example).replaceAll('|', '\\|')} |`
  })
  return ['| key | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** A value as TOML. */
export function formatValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatValue).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const pairs = Object.entries(value).map(([key, inner]) => `${key} = ${formatValue(inner)}`)
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`
}
