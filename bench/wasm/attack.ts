/** Asks each of some tasks again and again, until it is killed: a little after its last answer, whatever that was. */

import { setTimeout as delay } from 'node:timers/promises'

import { requestOnce, type Target } from '../http.ts'

/** More would measure what a machine does when its processors are too few, with or without hostility. */
const PAUSE_MS = 50

const targets: readonly Target[] = JSON.parse(process.argv[2] ?? '[]')
await Promise.all(
  targets.map(async (target) => {
    for (;;) {
      await requestOnce(target).catch(() => {})
      await delay(PAUSE_MS)
    }
  }),
)
