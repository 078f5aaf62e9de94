/**
 * The contract between the microVM driver and one hypervisor: the command line that makes a machine, and the connection that
 * pauses it, saves it and gives it more memory. Processes, folders and what a guest says are the driver's.
 *
 *     boot:   argv(start = boot) ─▶ the guest runs
 *     clone:  argv(start = load) ─▶ connect ─▶ load ─▶ resume ─▶ the guest goes on where its template was saved
 *
 * A hypervisor is as trusted as its guest: what it answers is bounded and checked, and nothing waits for it without end.
 */

import type { FileHandle } from 'node:fs/promises'

/** `kvm`: the processor runs the guest; `emulation`: it is translated, slower by an order of magnitude. */
export type Accelerator = 'kvm' | 'emulation'

/** Everything a machine is made of. Paths are those that the hypervisor sees. */
export interface MachinePlan {
  readonly accelerator: Accelerator
  readonly cpus: number
  readonly memoryBytes: number
  readonly memory: MachineMemory
  /** Of no meaning with `start = load`: the files need not be there then. */
  readonly kernel: string
  readonly initramfs: string
  readonly commandLine: string
  /** Read-only, in the order in which the guest finds them. */
  readonly disks: readonly string[]
  /** A connected stream socket that the hypervisor inherits; null: the guest has no channel. */
  readonly channel: number | null
  /** A listening stream socket that it inherits, or the path of one that it makes; null: nobody will connect. */
  readonly control: number | string | null
  /** `load`: the machine waits for its state, and then for `resume`. */
  readonly start: 'boot' | 'load'
}

/**
 * Where the guest's memory is: in no file, in one that takes whatever the guest writes (of a machine that is to be saved),
 * or copied on write from one that a machine was saved with.
 */
export type MachineMemory =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'saving'; readonly file: string }
  | { readonly kind: 'saved'; readonly file: string }

export interface Hypervisor {
  readonly name: string
  /** What a template depends on: one that another version saved is never loaded. */
  readonly version: string

  /** Pure: the program and its arguments. */
  argv(plan: MachinePlan): readonly string[]

  /**
   * Connects to a machine's control socket. One connection at a time: a second one waits until the first is closed.
   *
   * @throws QuiverError `unavailable/MACHINE_GONE` when nothing listens there; `deadline_exceeded/MACHINE_SILENT`
   */
  connect(socketPath: string): Promise<MachineControl>
}

/**
 * Every call throws QuiverError `unavailable/MACHINE_GONE` when the machine has ended, `deadline_exceeded/MACHINE_SILENT` when
 * it does not answer, `failed_precondition/MACHINE_REFUSED` with what it said. The connection is of no use after the first two.
 */
export interface MachineControl extends AsyncDisposable {
  /** Resolves when the connection has ended, with why when the peer broke the protocol. Never rejects. */
  readonly closed: Promise<Error | undefined>

  status(): Promise<MachineStatus>
  pause(): Promise<void>
  resume(): Promise<void>

  /** Writes the state of the devices, without the memory, of a paused machine. The file stays the caller's. */
  save(file: FileHandle): Promise<void>
  /** Reads it back, into a machine with `start = load`. It is paused afterwards. A refusal ends the machine. */
  load(file: FileHandle): Promise<void>

  /** Memory that the guest has now, at most what the machine was made with. */
  memoryBytes(): Promise<number>
  /** Asks the guest to live with less, or gives back. Resolves at once: the guest does it when it can. */
  resizeMemory(bytes: number): Promise<void>

  /** Ends the machine without asking the guest. */
  quit(): Promise<void>
}

export type MachineStatus = 'running' | 'paused' | 'loading' | 'ended'
