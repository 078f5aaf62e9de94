/** What never goes into an image, and what `.quiverignore` leaves out besides. Paths only; no disk. */

import ignore from 'ignore'

export const IGNORE_FILE = '.quiverignore'

/** Why a path was left out. */
export type LeftOutReason = 'ignored' | 'secret' | 'version control' | 'configuration'

/** Always left out, wherever an ignore file says otherwise. */
const ALWAYS: readonly (readonly [RegExp, LeftOutReason])[] = [
  [/(^|\/)\.git$/, 'version control'],
  [/(^|\/)\.env(\.[^/]*)?$/, 'secret'],
  [/^quiver\.toml$/, 'configuration'],
  [/^\.quiverignore$/, 'configuration'],
]

/**
 * @param text  of the ignore file, in the syntax of gitignore(5); empty when there is none
 * @returns     why to leave a path out; null to take it. Ask about a folder before what is in it
 */
export function buildFilter(
  text: string,
): (path: string, isFolder: boolean) => LeftOutReason | null {
  const rules = ignore({ ignorecase: false }).add(text)
  return (path, isFolder) => {
    const always = ALWAYS.find(([pattern]) => pattern.test(path))
    if (always) return always[1]
    return rules.ignores(isFolder ? `${path}/` : path) ? 'ignored' : null
  }
}
