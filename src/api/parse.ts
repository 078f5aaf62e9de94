/** One refusal for everything that a schema refuses. */

import type * as z from 'zod'

import { QuiverError } from '../core/error.ts'

/**
 * @param part  where the value was found, for the message, such as `body`
 * @throws QuiverError `invalid_argument/REQUEST_INVALID` naming the field
 */
export function parsePart<T>(schema: z.ZodType<T>, value: unknown, part: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = [part, ...(issue?.path ?? [])].map(String).join('.')
  const message = `${where}: ${issue?.message ?? 'is not valid'}`
  throw new QuiverError('invalid_argument', 'REQUEST_INVALID', message, {
    hint: 'The calls are described in docs/reference/openapi.json.',
  })
}
