/**
 * Flags that every command takes, before or after it: they become the variables that they stand for, so that nothing
 * below knows two ways. What follows `--` is the program's own.
 */

import { QuiverError } from '../core/error.ts'

export const GLOBAL_FLAGS = {
  '--host': {
    variable: 'QUIVER_HOST',
    brief: 'Node to talk to: unix:/path, http://… or https://…',
  },
  '--token': { variable: 'QUIVER_TOKEN', brief: 'Token for a node on TCP' },
  '--data': { variable: 'QUIVER_DATA', brief: 'Data folder of the node of this machine' },
} as const

export interface TakenGlobals {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** @throws QuiverError `invalid_argument/VALUE_MISSING` */
export function takeGlobals(argv: readonly string[]): TakenGlobals {
  const end = argv.indexOf('--')
  const own = end === -1 ? argv : argv.slice(0, end)
  const rest = end === -1 ? [] : argv.slice(end)
  const kept: string[] = []
  const env: Record<string, string> = {}
  const words = own[Symbol.iterator]()
  for (const word of words) {
    const [flag = '', ...value] = word.split('=')
    if (!isGlobal(flag)) {
      kept.push(word)
      continue
    }
    const next = value.length > 0 ? value.join('=') : words.next().value
    if (next === undefined || next === '') {
      throw new QuiverError('invalid_argument', 'VALUE_MISSING', `${flag} needs a value`, {
        hint: `Write ${flag} VALUE.`,
      })
    }
    env[GLOBAL_FLAGS[flag].variable] = next
  }
  return { argv: [...kept, ...rest], env }
}

function isGlobal(flag: string): flag is keyof typeof GLOBAL_FLAGS {
  return Object.hasOwn(GLOBAL_FLAGS, flag)
}
