/**
 * Which instance may reach what: the grants that control published, found by the token that ainit presents.
 *
 * Tokens are kept as hashes, so that neither a look-up's duration nor a memory dump of this table gives one away.
 */

import { createHash } from 'node:crypto'
import { isIP } from 'node:net'

import type { Grant, GrantTarget } from '../core/link.ts'
import { isCovered } from '../core/outside-host.ts'

import type { RelayRequest } from './request.ts'

export class Policy {
  /** By hash of the token. */
  readonly #grants = new Map<string, Grant>()
  /** Hash of the token, by instance. */
  readonly #hashes = new Map<string, string>()

  /** Takes these grants in place of all others. */
  replace(grants: readonly Grant[]): void {
    this.#grants.clear()
    this.#hashes.clear()
    for (const grant of grants) this.add(grant)
  }

  /** Adds a grant, in place of the one that its instance had. */
  add(grant: Grant): void {
    this.remove(grant.instance)
    const hash = hashOf(grant.token)
    this.#grants.set(hash, grant)
    this.#hashes.set(grant.instance, hash)
  }

  remove(instance: string): void {
    const hash = this.#hashes.get(instance)
    if (hash === undefined) return
    this.#hashes.delete(instance)
    this.#grants.delete(hash)
  }

  has(instance: string): boolean {
    return this.#hashes.has(instance)
  }

  /** The grant that a token stands for; undefined when nobody was given this token. */
  find(token: string): Grant | undefined {
    return this.#grants.get(hashOf(token))
  }
}

/** The declared target that a request means; an exact name goes before a wildcard. */
export function findTarget(
  targets: readonly GrantTarget[],
  { name, port }: RelayRequest,
): GrantTarget | undefined {
  const candidates = targets.filter((target) => target.port === port)
  return (
    candidates.find((target) => target.name === name) ??
    candidates.find((target) => target.kind === 'host' && isCovered(name, target.name))
  )
}

/** The addresses that are declared as such, local ones included, on one port. */
export function namedAddresses(targets: readonly GrantTarget[], port: number): readonly string[] {
  return targets
    .filter(
      (target) => target.kind === 'host' && target.isPrivateAllowed && isIP(target.name) !== 0,
    )
    .filter((target) => target.port === port)
    .map(({ name }) => name)
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
