/**
 * The device through which a hypervisor uses the processor, for a user who may not open the host's own: a second node of it, that
 * user's alone. `ainit launch` drops all groups, so the one that hosts give the device to is of no use.
 */

import { execFile } from 'node:child_process'
import { lchown, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const KVM_DEVICE = '/dev/kvm'
const NAME = 'kvm'

/**
 * @param folder  on a file system that has devices; the node is deleted with it
 * @param uid     who is to use it; null: whoever this process is
 * @returns       absolute path of the device
 * @throws Error `ENOENT` when the host has none
 */
export async function makeKvmDevice(folder: string, uid: number | null): Promise<string> {
  const { rdev } = await stat(KVM_DEVICE)
  if (uid === null) return KVM_DEVICE
  const node = path.join(folder, NAME)
  await rm(node, { force: true })
  await run('mknod', ['--mode=0600', node, 'c', String(majorOf(rdev)), String(minorOf(rdev))])
  await lchown(node, uid, uid)
  return node
}

/** As in makedev(3). */
function majorOf(device: number): number {
  return (device >> 8) & 0xfff
}

function minorOf(device: number): number {
  return (device & 0xff) | ((device >> 12) & 0xfff00)
}
