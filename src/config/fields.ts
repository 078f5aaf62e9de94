/**
 * The kinds of values that configuration files hold, each with its range and its error text.
 *
 * A field reads what the file says (`"64MiB"`) and gives what the program computes with (67108864); ranges and
 * examples go into the JSON Schema too. Ranges are inclusive and are written as people write them.
 */

import * as z from 'zod'

import { QuiverError } from '../core/error.ts'
import { parseBytes, parseMilliseconds } from '../core/units.ts'

/** A size such as `64MiB`; gives bytes. */
export function size(min: string, max: string) {
  return quantity(parseBytes, min, max).meta({ pattern: '^\\d+(B|KiB|MiB|GiB)$', examples: [max] })
}

/** A duration such as `30s`; gives milliseconds. */
export function duration(min: string, max: string) {
  return quantity(parseMilliseconds, min, max).meta({ pattern: '^\\d+(ms|s|m|h)$' })
}

/** A duration or `never`; gives milliseconds or null. */
export function durationOrNever(min: string, max: string) {
  const read = inRange(parseMilliseconds, min, max, ' or "never"')
  return z
    .string()
    .transform(parsedBy((value) => (value === 'never' ? null : read(value))))
    .meta({ pattern: '^(never|\\d+(ms|s|m|h))$' })
}

/** A whole number. */
export function whole(min: number, max: number) {
  return z
    .number()
    .superRefine((value, context) => {
      if (Number.isInteger(value) && value >= min && value <= max) return
      refuse(context, `${value} is out of range`, `Write a whole number from ${min} to ${max}.`)
    })
    .meta({ type: 'integer', minimum: min, maximum: max })
}

/** A TCP port. */
export function port() {
  return whole(1, 65_535)
}

/** A number of processor cores such as `0.5`; gives thousandths of a core. */
export function cores() {
  return z
    .number()
    .transform((value, context) => {
      const millis = Math.round(value * 1000)
      const isExact = Math.abs(value * 1000 - millis) < 1e-6
      if (isExact && millis >= 10 && millis <= 1_024_000) return millis
      const hint =
        'Write a number of cores from 0.01 to 1024 with at most three decimals, such as 0.5.'
      return refuse(context, `${value} is out of range`, hint)
    })
    .meta({ minimum: 0.01, maximum: 1024, examples: [0.5] })
}

/** Any text without NUL, which ends strings in the kernel's interfaces. */
export function text(lengthMax: number) {
  return z
    .string()
    .superRefine((value, context) => {
      if (value.includes('\0')) refuse(context, 'contains a NUL character', 'Leave "\\u0000" out.')
      if (value.length <= lengthMax) return
      const message = `is ${value.length} characters long`
      refuse(context, message, `Use at most ${lengthMax} characters.`)
    })
    .meta({ maxLength: lengthMax })
}

/** Text that one of our parsers reads; gives what it makes of it. */
export function parsed<T>(parse: (text: string) => T) {
  return z.string().transform(parsedBy(parse))
}

/** Text that one of our parsers accepts; stays text. */
export function checked(parse: (text: string) => unknown) {
  return parsed((value) => {
    parse(value)
    return value
  })
}

/** Text of a pattern, explained in words. */
export function matching(pattern: RegExp, what: string, hint: string) {
  return z
    .string()
    .superRefine((value, context) => {
      const isWhole = pattern.test(value) && !value.includes('\0')
      if (!isWhole) refuse(context, `${JSON.stringify(value)} is not ${what}`, hint)
    })
    .meta({ pattern: pattern.source })
}

function quantity(parse: (text: string) => number, min: string, max: string) {
  return z.string().transform(parsedBy(inRange(parse, min, max, '')))
}

function inRange(parse: (text: string) => number, min: string, max: string, besides: string) {
  const [least, most] = [parse(min), parse(max)]
  return (value: string): number => {
    const number = parse(value)
    if (number >= least && number <= most) return number
    throw new QuiverError('invalid_argument', 'OUT_OF_RANGE', `"${value}" is out of range`, {
      hint: `Write ${min} to ${max}${besides}.`,
    })
  }
}

/** Lets a zod schema use one of our parsers: their error becomes its issue. */
function parsedBy<T>(parse: (text: string) => T) {
  return (value: string, context: z.RefinementCtx): T => {
    try {
      return parse(value)
    } catch (thrown) {
      const error = QuiverError.from(thrown)
      return refuse(context, error.message, error.hint)
    }
  }
}

function refuse(context: z.RefinementCtx, message: string, hint: string | undefined): never {
  context.addIssue({ code: 'custom', message, params: { hint } })
  return z.NEVER
}
