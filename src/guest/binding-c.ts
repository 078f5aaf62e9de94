/** Writes `quiver.h`: one declaration for each host function, for C and C++ guests with or without a libc. */

import { type AbiFunction, type AbiParam, type AbiType, isArea, snakeCase } from './abi.ts'
import type { GuestInterface } from './bindings.ts'

const TYPES: Readonly<Record<AbiType, string>> = {
  u32: 'uint32_t',
  s32: 'int32_t',
  u64: 'uint64_t',
  handle: 'quiver_handle_t',
  level: 'quiver_level_t',
  text: 'char *',
  bytes: 'void *',
}

const HEAD = `#ifndef QUIVER_H
#define QUIVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIVER_IMPORT(name) __attribute__((import_module("quiver"), import_name(name)))
/* Makes a function an export of the module: QUIVER_EXPORT("handle") int handle(void) { ... } */
#define QUIVER_EXPORT(name) __attribute__((used, visibility("default"), export_name(name)))
/* A string literal and its length: quiver_log(QUIVER_INFO, QUIVER_TEXT("hello")) */
#define QUIVER_TEXT(literal) (literal), (sizeof(literal) - 1)
`

const TAIL = `#ifdef __cplusplus
}
#endif

#endif
`

export function buildC({ functions, errors, levels }: GuestInterface): string {
  const constants = errors.map(({ name, docs }, index) => {
    return `/* ${docs.replaceAll('\n', ' ')} */\n#define QUIVER_${upper(name)} (-${index + 1})`
  })
  return [
    '/* Generated from quiver.wit: what a WebAssembly guest can ask of Quiver. See docs/reference/guest-api.md.',
    ' *',
    ' * Texts are UTF-8 with a length, and not ended by NUL. A function with `into` and `capacity` returns the full length of its',
    ' * result and writes as much of it as fits, like snprintf. A negative result is an error. A bad address ends the guest.',
    ' */',
    HEAD,
    '/* An exchange buffer; 0 is none. */\ntypedef uint32_t quiver_handle_t;\n',
    'typedef enum {',
    ...levels.map(({ name }, index) => `  QUIVER_${upper(name)} = ${index},`),
    '} quiver_level_t;\n',
    ...constants,
    '',
    ...functions.filter(({ module }) => module === 'quiver').map(declare),
    TAIL,
  ].join('\n')
}

function declare(one: AbiFunction): string {
  const params = one.values.flatMap(parameters)
  if (isArea(one.value)) {
    params.push(`${one.value === 'text' ? 'char' : 'void'} *into`, 'size_t capacity')
  }
  const list = params.length === 0 ? 'void' : params.join(', ')
  const docs = one.docs.split('\n').join('\n * ')
  return `/* ${docs} */\nQUIVER_IMPORT("${one.name}")\n${resultType(one)} quiver_${one.name}(${list});\n`
}

function parameters({ name, type }: AbiParam): readonly string[] {
  if (!isArea(type)) return [`${TYPES[type]} ${name}`]
  return [`const ${TYPES[type]}${name}`, `size_t ${name}_length`]
}

/** A length fits 31 bits, so lengths are signed like errors, also where nothing can fail. */
function resultType({ value, isFallible }: AbiFunction): string {
  if (isFallible || isArea(value)) return 'int32_t'
  return value === null ? 'void' : TYPES[value]
}

function upper(name: string): string {
  return snakeCase(name).toUpperCase()
}
