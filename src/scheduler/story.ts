/**
 * What the scheduler knows of an instance and its driver cannot find again: kept in the instance's folder, so that the
 * next control process goes on where this one ended. No durable state: without it an instance is adopted all the same.
 */

import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

import type { Phase } from '../core/instance.ts'
import type { ErrorBody } from '../core/link.ts'

export interface Story {
  /** As `ManagedInstance.sequence`. */
  readonly sequence: number
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number
  /** CLOCK_MONOTONIC milliseconds, as `readyAtMs`. */
  readonly wakeAtMs: number
  /** Null: it was not ready yet. */
  readonly readyAtMs: number | null
  readonly queueMs: number | null
  readonly lastWake: 'cold' | 'resumed' | null
  readonly requests: number
  /** Those of the driver too: it knows them only while the instance lives. */
  readonly phases: readonly Phase[]
  readonly error: ErrorBody | null
  /** Its end was told. */
  readonly isEndTold: boolean
}

const FILE = 'story.json'

/** Undefined when there is none, or none that can be read. */
export async function readStory(folder: string): Promise<Story | undefined> {
  try {
    const story: Story = JSON.parse(await readFile(path.join(folder, FILE), 'utf8'))
    return story
  } catch {
    return undefined
  }
}

/** Never rejects: a full disk, or a folder that is gone, only makes the story poorer. */
export async function writeStory(folder: string, story: Story): Promise<void> {
  const file = path.join(folder, FILE)
  try {
    await writeFile(`${file}.new`, JSON.stringify(story), { mode: 0o600 })
    await rename(`${file}.new`, file)
  } catch {
    // As said.
  }
}
