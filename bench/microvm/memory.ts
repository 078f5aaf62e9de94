/** What the processes of one machine take of the host's memory, and what of. */

import { readFile } from 'node:fs/promises'

/** Bytes that are of no file: nobody else can have them. The parts of the hypervisor are told by how it maps them. */
export interface MachineMemory {
  /** Of the hypervisor, and of `bwrap` and `ainit` around it. */
  readonly private: number
  /** What the guest has changed since it was saved. */
  readonly guest: number
  /** Translations of an emulated guest. */
  readonly translations: number
  /** The rest of the hypervisor: heap, threads, relocations. */
  readonly rest: number
  /** The processes around it. */
  readonly around: number
  /** Pages of files, which other machines have too: program, libraries, the memory of its template. Not part of `private`. */
  readonly files: number
}

/** @param hypervisor, around  pids */
export async function readMachineMemory(
  hypervisor: number,
  around: readonly number[],
): Promise<MachineMemory> {
  const mappings = await readMappings(hypervisor)
  const others = (await Promise.all(around.map(readMappings))).flat()
  const [all, enclosing] = [sum(mappings), sum(others)]
  const guest = sum(mappings.filter(({ file }) => file === '/machine/memory'))
  // Nothing else is written and run.
  const translations = sum(mappings.filter(({ rights }) => rights.startsWith('rwx')))
  return {
    private: all + enclosing,
    guest,
    translations,
    rest: all - guest - translations,
    around: enclosing,
    files: mappings.reduce((total, { clean }) => total + clean, 0),
  }
}

function sum(mappings: readonly Mapping[]): number {
  return mappings.reduce((total, { dirty }) => total + dirty, 0)
}

interface Mapping {
  readonly rights: string
  readonly file: string
  dirty: number
  clean: number
}

async function readMappings(pid: number): Promise<readonly Mapping[]> {
  const mappings: Mapping[] = []
  for (const line of (await readFile(`/proc/${pid}/smaps`, 'utf8')).split('\n')) {
    const [, rights, file] = /^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \d+ *(.*)$/.exec(line) ?? []
    if (rights !== undefined) mappings.push({ rights, file: file ?? '', dirty: 0, clean: 0 })
    const [, kind, kib] = /^(Private_Dirty|Private_Clean|Shared_Clean): +(\d+) kB$/.exec(line) ?? []
    const mapping = mappings.at(-1)
    if (mapping === undefined || kind === undefined) continue
    mapping[kind === 'Private_Dirty' ? 'dirty' : 'clean'] += Number(kib) * 1024
  }
  return mappings
}
