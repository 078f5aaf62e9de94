/**
 * What the design of `quiver.toml` has and this version does not: refused with "not yet", so that nobody believes it
 * works and nobody searches for a typing mistake. Delete an entry when its feature is there.
 */

import type { LaterFeatures } from './issues.ts'

export const LATER: LaterFeatures = {
  keys: {
    require: 'is not there yet: needing other packages comes with the market',
    base: 'is not there yet: starting from a package comes with the market',
    secrets: 'is not there yet: secrets come in a later version',
    volume: 'is not there yet: volumes come in a later version',
    cron: 'is not there yet: schedules come in a later version',
    hook: 'is not there yet: hooks come in a later version',
    test: 'is not there yet: `quiver test` comes in a later version',
    template: 'is not there yet: templates and clones come in a later version',
    kernel: 'is not there yet: all microVMs have the kernel that "quiver kernel build" made',
    'scale.cpu': 'is not there yet: scaling by CPU load comes in a later version',
    'http.hooks': 'is not there yet: hooks come in a later version',
    'config.*.secrets': 'is not there yet: secrets come in a later version',
  },
  values: {},
}
