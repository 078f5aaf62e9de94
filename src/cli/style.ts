/** Colours, where they are wanted: on terminals, unless NO_COLOR is set (https://no-color.org). */

import { styleText } from 'node:util'

import type { CliContext, Output } from './context.ts'

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold'

export type Paint = (colour: Colour, text: string) => string

export function paintFor(output: Output, env: CliContext['process']['env']): Paint {
  const isColoured =
    output.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
  if (!isColoured) return (_, text) => text
  return (colour, text) => styleText(colour, text, { validateStream: false })
}
