/** From what a script passes, which may be anything, to what a function needs. Runs in the engine. */

/** As the standards' conversion to a string. */
export function textOf(value: unknown): string {
  return String(value)
}

export function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value
}

/** A sequence of pairs, or the properties of an object. @throws TypeError */
export function pairsOf(init: object): [name: unknown, value: unknown][] {
  const pairs: [unknown, unknown][] = []
  for (const pair of isIterable(init) ? init : Object.entries(init)) {
    const both = typeof pair === 'object' && pair !== null && isIterable(pair) ? [...pair] : []
    if (both.length !== 2) throw new TypeError('a pair of a name and a value is expected')
    pairs.push([both[0], both[1]])
  }
  return pairs
}
