/** What `quiver doctor` finds: one feature of this machine, whether it is there, what is lost without it. */

export interface Finding {
  readonly feature: string
  readonly isPresent: boolean
  /** False: a node works without it, with less. */
  readonly isRequired: boolean
  /** What was seen, such as a version or path; empty when there is nothing to say. */
  readonly detail: string
  /** What is lost without it, and how to get it. */
  readonly remedy: string
  readonly fix: Fix | null
}

export type Fix =
  /** Debian packages. */
  | { readonly kind: 'packages'; readonly packages: readonly string[] }
  /** The native parts, by the project's own script. */
  | { readonly kind: 'build' }
  /** The kernel of microVMs, and the Debian packages that building it takes. */
  | { readonly kind: 'kernel'; readonly packages: readonly string[] }

type Optional = Partial<Pick<Finding, 'isRequired' | 'detail' | 'remedy' | 'fix'>>

/** A finding with what is usual: required, nothing to say, nothing that can be done. */
export function finding(feature: string, isPresent: boolean, more: Optional = {}): Finding {
  return { feature, isPresent, isRequired: true, detail: '', remedy: '', fix: null, ...more }
}

export function packages(...names: readonly string[]): Fix {
  return { kind: 'packages', packages: names }
}
