/** Writes `quiver.ts` for AssemblyScript, TypeScript's dialect that compiles to WebAssembly: strings and ArrayBuffers go in and out. */

import { type AbiFunction, type AbiType, isArea } from './abi.ts'
import type { GuestInterface } from './bindings.ts'

const TYPES: Readonly<Record<AbiType, string>> = {
  u32: 'u32',
  s32: 'i32',
  u64: 'u64',
  handle: 'Handle',
  level: 'Level',
  text: 'string',
  bytes: 'ArrayBuffer',
}

const HEAD = `/** Generated from quiver.wit: what an AssemblyScript guest can ask of Quiver. See docs/reference/guest-api.md. */

/** An exchange buffer; 0 is none. */
export type Handle = u32

/** No buffer. */
export const NONE: Handle = 0

/** How the last call that returned null or a negative number failed: one of \`Failure\`. */
export let lastError: i32 = 0
`

/** A result of unknown length is asked for twice when it does not fit the first time. */
const TAIL = `const AREA_BYTES = 512

function note(result: i32): i32 {
  if (result < 0) lastError = result
  return result
}

function textOf(area: ArrayBuffer, length: i32): string {
  return String.UTF8.decodeUnsafe(changetype<usize>(area), <usize>length)
}
`

export function buildAssemblyScript({ functions, errors, levels }: GuestInterface): string {
  const own = functions.filter(({ module }) => module === 'quiver')
  return [
    HEAD,
    '/** Why a call failed. */',
    'export namespace Failure {',
    ...errors.flatMap(({ name, docs }, index) => [
      `  /** ${docs.replaceAll('\n', ' ')} */`,
      `  export const ${name.replaceAll('-', '_').toUpperCase()}: i32 = -${index + 1}`,
    ]),
    '}\n',
    '/** How much a line in the log matters. */',
    'export enum Level {',
    ...levels.map(({ name }, index) => `  ${name.toUpperCase()} = ${index},`),
    '}\n',
    ...own.map((one) => `${declare(one)}\n`),
    ...own.map((one) => `${define(one)}\n`),
    TAIL,
  ].join('\n')
}

function declare(one: AbiFunction): string {
  const params = one.values.flatMap(({ name, type }) => {
    const param = camel(name)
    return isArea(type) ? [`${param}: usize`, `${param}Length: i32`] : [`${param}: ${TYPES[type]}`]
  })
  if (isArea(one.value)) params.push('into: usize', 'capacity: i32')
  return `// @ts-ignore: decorator\n@external("quiver", "${one.name}")\ndeclare function raw_${one.name}(${params.join(', ')}): ${rawResult(one)}`
}

function define(one: AbiFunction): string {
  const params = one.values.map(({ name, type }) => `${camel(name)}: ${TYPES[type]}`)
  const docs = [...one.docs.split('\n'), ...failureNote(one)]
  const body = isArea(one.value) ? areaBody(one) : plainBody(one)
  return [
    '/**',
    ...docs.map((line) => ` * ${line}`),
    ' */',
    `export function ${camel(one.name)}(${params.join(', ')}): ${resultType(one)} {`,
    ...one.values.flatMap(({ name, type }) =>
      type === 'text' ? [`  const ${camel(name)}Bytes = String.UTF8.encode(${camel(name)})`] : [],
    ),
    ...body,
    '}',
  ].join('\n')
}

function failureNote({ value, isFallible }: AbiFunction): readonly string[] {
  if (!isFallible) return []
  return [isArea(value) ? 'null: see `lastError`.' : 'Below 0: a `Failure`.']
}

function plainBody(one: AbiFunction): readonly string[] {
  const call = `raw_${one.name}(${argumentsOf(one).join(', ')})`
  if (one.isFallible) return [`  return note(${call})`]
  return [one.value === null ? `  ${call}` : `  return ${call}`]
}

function areaBody(one: AbiFunction): readonly string[] {
  const call = (capacity: string): string => {
    const args = [...argumentsOf(one), 'changetype<usize>(area)', capacity]
    return `raw_${one.name}(${args.join(', ')})`
  }
  const result = one.value === 'text' ? 'textOf(area, length)' : 'area.slice(0, length)'
  return [
    '  let area = new ArrayBuffer(AREA_BYTES)',
    `  let length = ${call('AREA_BYTES')}`,
    ...(one.isFallible ? ['  if (note(length) < 0) return null'] : []),
    '  if (length > AREA_BYTES) {',
    '    area = new ArrayBuffer(length)',
    `    length = ${call('length')}`,
    '  }',
    `  return ${result}`,
  ]
}

function argumentsOf(one: AbiFunction): readonly string[] {
  return one.values.flatMap(({ name, type }) => {
    if (!isArea(type)) return [camel(name)]
    const buffer = type === 'text' ? `${camel(name)}Bytes` : camel(name)
    return [`changetype<usize>(${buffer})`, `${buffer}.byteLength`]
  })
}

function rawResult({ value, isFallible }: AbiFunction): string {
  if (isFallible || isArea(value)) return 'i32'
  return value === null ? 'void' : TYPES[value]
}

function resultType({ value, isFallible }: AbiFunction): string {
  if (value !== null && isArea(value)) return isFallible ? `${TYPES[value]} | null` : TYPES[value]
  if (isFallible) return 'i32'
  return value === null ? 'void' : TYPES[value]
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
