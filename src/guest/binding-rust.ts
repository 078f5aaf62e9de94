/** Writes `quiver.rs`: a safe function for each host function; it needs neither std nor an allocator. */

import { type AbiFunction, type AbiParam, type AbiType, isArea } from './abi.ts'
import type { GuestInterface } from './bindings.ts'

const TYPES: Readonly<Record<AbiType, string>> = {
  u32: 'u32',
  s32: 'i32',
  u64: 'u64',
  handle: 'Handle',
  level: 'Level',
  text: '&str',
  bytes: '&[u8]',
}

const HEAD = `//! Generated from quiver.wit: what a WebAssembly guest can ask of Quiver. See docs/reference/guest-api.md.
//!
//! Put it beside your sources and write \`mod quiver;\`. A function with \`into\` returns the full length of its result and
//! writes as much of it as fits, so that an empty slice asks for the length alone.

#![allow(dead_code)]

/// An exchange buffer; 0 is none.
pub type Handle = u32;

/// No buffer.
pub const NONE: Handle = 0;
`

export function buildRust({ functions, errors, levels }: GuestInterface): string {
  const own = functions.filter(({ module }) => module === 'quiver')
  return [
    HEAD,
    '/// Why a call failed.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    'pub enum Error {',
    ...errors.flatMap(({ name, docs }) => [comment(docs, '    '), `    ${pascal(name)},`]),
    '}\n',
    'impl Error {',
    '    fn of(code: i32) -> Error {',
    '        match code {',
    ...errors
      .slice(0, -1)
      .map(({ name }, index) => `            -${index + 1} => Error::${pascal(name)},`),
    `            _ => Error::${pascal(errors.at(-1)?.name ?? '')},`,
    '        }',
    '    }',
    '}\n',
    '/// How much a line in the log matters.',
    '#[derive(Clone, Copy, Debug, PartialEq, Eq)]',
    '#[repr(u32)]',
    'pub enum Level {',
    ...levels.map(({ name }, index) => `    ${pascal(name)} = ${index},`),
    '}\n',
    'mod raw {',
    '    #[link(wasm_import_module = "quiver")]',
    '    extern "C" {',
    ...own.map((one) => `        pub fn ${one.name}(${rawParams(one)})${rawResult(one)};`),
    '    }',
    '}\n',
    'fn check(result: i32) -> Result<u32, Error> {',
    '    if result < 0 { Err(Error::of(result)) } else { Ok(result as u32) }',
    '}\n',
    ...own.map(define),
  ].join('\n')
}

function define(one: AbiFunction): string {
  const params = one.values.map(({ name, type }) => `${name}: ${TYPES[type]}`)
  if (isArea(one.value)) params.push('into: &mut [u8]')
  const call = `unsafe { raw::${one.name}(${argumentsOf(one).join(', ')}) }`
  const head = `${comment(one.docs, '')}\npub fn ${one.name}(${params.join(', ')})`
  const plain = plainResult(one)
  if (one.isFallible) {
    const map = plain === '()' ? '.map(|_| ())' : plain === 'usize' ? '.map(|n| n as usize)' : ''
    return `${head} -> Result<${plain}, Error> {\n    check(${call})${map}\n}\n`
  }
  if (plain === '()') return `${head} {\n    ${call}\n}\n`
  const cast = isArea(one.value) ? ' as usize' : ''
  return `${head} -> ${plain} {\n    ${cast === '' ? call : `(${call})${cast}`}\n}\n`
}

function plainResult({ value }: AbiFunction): string {
  if (value === null) return '()'
  return isArea(value) ? 'usize' : TYPES[value]
}

function argumentsOf(one: AbiFunction): readonly string[] {
  const values = one.values.flatMap(({ name, type }) => {
    return isArea(type) ? [`${name}.as_ptr()`, `${name}.len()`] : [name]
  })
  return isArea(one.value) ? [...values, 'into.as_mut_ptr()', 'into.len()'] : values
}

function rawParams(one: AbiFunction): string {
  const params = one.values.flatMap(rawParam)
  if (isArea(one.value)) params.push('into: *mut u8', 'capacity: usize')
  return params.join(', ')
}

function rawParam({ name, type }: AbiParam): readonly string[] {
  if (isArea(type)) return [`${name}: *const u8`, `${name}_length: usize`]
  return [`${name}: ${type === 'level' ? 'super::Level' : type === 'handle' ? 'u32' : TYPES[type]}`]
}

function rawResult({ value, isFallible }: AbiFunction): string {
  if (isFallible || isArea(value)) return ' -> i32'
  return value === null ? '' : ` -> ${value === 'handle' ? 'u32' : TYPES[value]}`
}

function comment(docs: string, indent: string): string {
  return docs
    .split('\n')
    .map((line) => `${indent}/// ${line}`.trimEnd())
    .join('\n')
}

function pascal(name: string): string {
  return name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
