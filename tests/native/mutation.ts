/** Broken input for fuzz tests: the same for the same seed. */

/** Numbers below 2³², the same every time (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

/** One to three bytes changed, removed, doubled or cut off. */
export function mutate(valid: Uint8Array, random: () => number): Uint8Array {
  let bytes = Buffer.from(valid)
  for (let count = (random() % 3) + 1; count > 0; count--) {
    const at = random() % bytes.length
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at + 1)]
    const kinds = [
      () => Buffer.concat([head, Buffer.from([random() & 0xff]), tail]),
      () => Buffer.concat([head, tail]),
      () => Buffer.concat([head, bytes.subarray(at, at + 9), bytes.subarray(at)]),
      () => Buffer.concat([head, Buffer.from([0]), tail]),
      () => (random() % 8 === 0 ? Buffer.from(head) : bytes),
    ]
    bytes = kinds[random() % kinds.length]?.() ?? bytes
  }
  return bytes
}
