/** How far one instance has come, as its PID 1 tells it. */

import type { Phase } from '../../core/instance.ts'

import type { AinitEvent } from './channel.ts'

export class Progress {
  readonly phases: Phase[] = []
  readonly #ports: readonly number[]
  readonly #listening = new Set<number>()
  readonly #elsewhere = new Set<number>()
  #hasExeced = false
  #failure: AinitEvent | undefined
  /** The step that ends when PID 1 runs. */
  #entering: Phase['name']
  #isRestored = false

  /** @param ports  the declared ones */
  constructor(ports: readonly number[], entering: Phase['name']) {
    this.#ports = ports
    this.#entering = entering
  }

  /** PID 1 has run. */
  get isInside(): boolean {
    return this.phases.length > 0
  }

  get hasExeced(): boolean {
    return this.#hasExeced
  }

  get isReady(): boolean {
    // Until then all that is told happened to the template.
    if (this.#entering === 'restore' && !this.#isRestored) return false
    return this.#hasExeced && this.#ports.every((port) => this.#listening.has(port))
  }

  /** Ports that it listens on and that are not declared. */
  get elsewhere(): readonly number[] {
    return [...this.#elsewhere]
  }

  /** What was said about a start that failed. */
  get failure(): AinitEvent | undefined {
    return this.#failure
  }

  enterBy(phase: Phase['name']): void {
    this.#entering = phase
  }

  add(event: AinitEvent): void {
    const { name, fields } = event
    const atNs = Number(fields['t'])
    if (name === 'init') this.phases.push({ name: this.#entering, atNs })
    if (name === 'exec') {
      this.#hasExeced = true
      this.phases.push({ name: 'exec', atNs })
    }
    if (name === 'listen') this.#addPort(Number(fields['port']), fields['declared'] === '1', atNs)
    if (name === 'resume') this.#restore(atNs)
    if (name === 'error') this.#failure ??= event
  }

  #restore(atNs: number): void {
    this.#isRestored = true
    this.phases.splice(0, Infinity, { name: 'restore', atNs })
  }

  #addPort(port: number, isDeclared: boolean, atNs: number): void {
    if (!isDeclared) {
      this.#elsewhere.add(port)
      return
    }
    this.#listening.add(port)
    if (this.isReady) this.phases.push({ name: 'listen', atNs })
  }
}
