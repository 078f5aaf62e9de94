/** The list of names on the bridge, which the PID 1 of each instance reads for each question. */

import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { hostnameOf } from '../../core/task.ts'
import type { InstancePlan } from '../driver.ts'

/** What everybody calls himself. */
const LOCALHOST = 'localhost'

export class NameList {
  readonly #folder: string
  #written: Promise<void> = Promise.resolve()

  constructor(folder: string) {
    this.#folder = folder
  }

  async write(plans: Iterable<InstancePlan>): Promise<void> {
    const content = buildNames(plans)
    this.#written = this.#written.then(() => this.#replace(content))
    await this.#written
  }

  /** By renaming: whoever reads it reads one whole list. Without a new list the old one goes on. */
  async #replace(content: string): Promise<void> {
    const temporary = path.join(this.#folder, 'next')
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o711 })
      await writeFile(temporary, content, { mode: 0o644 })
      await rename(temporary, path.join(this.#folder, 'names'))
    } catch {
      // A full disk must not end an instance: who has come since is not found by name.
    }
  }
}

/** Lines `address name`: for each instance its task, and its host name where that is another. */
export function buildNames(plans: Iterable<InstancePlan>): string {
  const lines = [...plans].flatMap(({ spec, bridge }) => {
    if (bridge === undefined) return []
    const names = new Set([spec.name, hostnameOf(spec)])
    names.delete(LOCALHOST)
    return [...names].map((name) => `${bridge.address} ${name}\n`)
  })
  return lines.toSorted().join('')
}
