/** Versions of binaries: their order, and which of them a reference fits. Nothing about where they are stored. */

/**
 * Compares as people read versions: runs of digits as numbers, the rest as text; a pre-release (`-rc1`) comes
 * before its release. Versions of other projects follow no one scheme, so any text has a place.
 */
export function compareVersions(a: string, b: string): number {
  const [release, otherRelease] = [releaseOf(a), releaseOf(b)]
  const order = compareParts(release, otherRelease)
  if (order !== 0) return order
  const [rest, otherRest] = [a.slice(release.length), b.slice(otherRelease.length)]
  if (rest === '' || otherRest === '') return Number(rest === '') - Number(otherRest === '')
  return compareParts(rest, otherRest)
}

/** Whether `asked` is the version or a leading part of it: `26` and `26.1` fit `26.1.0`; `2` does not. */
export function versionFits(asked: string | undefined, version: string): boolean {
  if (asked === undefined || asked === version) return true
  return version.startsWith(asked) && !/^[0-9A-Za-z]/.test(version.slice(asked.length))
}

function compareParts(a: string, b: string): number {
  const [parts, others] = [partsOf(a), partsOf(b)]
  const length = Math.max(parts.length, others.length)
  for (let index = 0; index < length; index++) {
    const [x, y] = [parts[index], others[index]]
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1
    if (x === y) continue
    const difference = Number(x) - Number(y)
    if (Number.isNaN(difference)) return x < y ? -1 : 1
    if (difference !== 0) return difference
  }
  return 0
}

function releaseOf(version: string): string {
  return version.split('-', 1)[0] ?? ''
}

function partsOf(text: string): readonly string[] {
  return text.match(/\d+|[A-Za-z]+/g) ?? []
}
