/**
 * Instances that are processes of this host: `ainit launch ▸ bwrap ▸ PID 1`. Folder, lock, control groups, user, sockets,
 * log, adoption and end are the same for every driver that starts such processes; what is around a program, the driver
 * says with an `Enclosure`.
 */

export { bind, bindMount, tmpfs } from './process/bwrap.ts'
export {
  openCgroups,
  type CgroupHierarchy,
  type InstanceCgroup,
  type Limits,
} from './process/cgroup.ts'
export { standStill } from './process/channel.ts'
export { diskError } from './process/disk.ts'
export { openProcessDriver, removeGroups } from './process/driver.ts'
export type { Enclosure, LaunchPlan } from './process/enclosure.ts'
export { buildHosts, buildResolvConf, ETC_FILES, resolvConfOf, UID_INSIDE } from './process/etc.ts'
export { installProcessHost, type ProcessHost } from './process/host.ts'
export { launch } from './process/launch.ts'
export { probeCgroups, probeNamespaces, probeRest } from './process/probe.ts'
export { untilReady } from './process/readiness.ts'
export {
  buildRecords,
  declaredPorts,
  each,
  flag,
  optional,
  type Records,
} from './process/records.ts'
