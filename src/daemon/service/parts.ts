/** What the nouns of the control service share. */

import { readFile } from 'node:fs/promises'
import path from 'node:path'

import type { Cores } from '../../drivers/cores.ts'
import type { Driver, OpenStream } from '../../drivers/driver.ts'
import type { ImageStore } from '../../images/images.ts'
import type { EventLog } from '../../scheduler/events.ts'
import type { Scheduler } from '../../scheduler/scheduler.ts'
import type { ControlConfig } from '../control-config.ts'
import type { LinkDataPlane } from '../link-data-plane.ts'

export interface ServiceParts {
  readonly config: ControlConfig
  readonly scheduler: Scheduler
  readonly images: ImageStore
  readonly drivers: ReadonlyMap<string, Driver>
  readonly openStream: OpenStream
  readonly dataPlane: LinkDataPlane
  readonly events: EventLog
  readonly cores: Cores
  /** Keys of the state whose rows were damaged and are set aside. */
  readonly listSetAside: () => readonly string[]
}

/** Bound addresses by name, as the supervisor wrote them. */
export async function readAddresses(runFolder: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(path.join(runFolder, 'listen'), 'utf8').catch(() => '')
  const lines = text.split('\n').filter((line) => line !== '')
  return Object.fromEntries(lines.map((line) => splitAtSpace(line)))
}

function splitAtSpace(line: string): readonly [string, string] {
  const at = line.indexOf(' ')
  return [line.slice(0, at), line.slice(at + 1)]
}

/** The port that the proxy serves HTTP on; 80 when it is not known. */
export async function httpPort(runFolder: string): Promise<number> {
  const { http = '' } = await readAddresses(runFolder)
  return Number(http.slice(http.lastIndexOf(':') + 1)) || 80
}
