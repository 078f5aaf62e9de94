/** Room for a node: its ports, its data folder, its user ids. */

import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import path from 'node:path'

import { closedFolder } from '../../config/folders.ts'
import type { NodeConfig } from '../../config/node.ts'
import { errnoOf } from '../../core/error.ts'
import { formatBytes } from '../format.ts'

import { finding } from './finding.ts'
import type { Finding } from './finding.ts'
import { checkPorts } from './ports.ts'

const FREE_BYTES_MIN = 1024 ** 3

export async function checkMachine(config: NodeConfig): Promise<readonly Finding[]> {
  const isRoot = process.getuid?.() === 0
  const [ports, folder, uids] = await Promise.all([
    checkListeners(config),
    checkData(config.data),
    isRoot ? checkUids(config.uid) : [],
  ])
  const own = finding('a user id of its own for each task', isRoot, {
    isRequired: false,
    remedy: 'Without it all tasks share this user outside their namespaces. Run the node as root.',
  })
  return [...ports, ...folder, own, ...uids]
}

/** A node that runs has them, and should. */
async function checkListeners(config: NodeConfig): Promise<readonly Finding[]> {
  const lock = await readFile(path.join(config.data, 'lock'), 'utf8').catch(() => '')
  const command = await readFile(`/proc/${Number.parseInt(lock, 10)}/cmdline`, 'utf8').catch(
    () => '',
  )
  if (command.includes('supervise')) return [finding('ports', true, { detail: 'the node runs' })]
  return checkPorts(config)
}

async function checkData(data: string): Promise<readonly Finding[]> {
  const existing = await nearestExisting(data)
  const isWritable = await access(existing, constants.W_OK).then(
    () => true,
    () => false,
  )
  const closed = process.getuid?.() === 0 ? await closedFolder(existing) : undefined
  const { bavail, bsize } = await statfs(existing)
  const free = bavail * bsize
  return [
    finding('data folder', isWritable && closed === undefined, {
      detail: data,
      remedy:
        closed === undefined
          ? `${existing} cannot be written by this user: choose another with --data.`
          : `Instances cannot reach it: run "chmod o+x ${closed}", or choose another with --data.`,
    }),
    finding('disk space', free >= FREE_BYTES_MIN, {
      isRequired: false,
      detail: `${formatBytes(free)} free`,
      remedy: 'Less than 1 GiB is free: binaries, images and logs may not fit.',
    }),
  ]
}

/** The folder itself, or what there is of the way to it. */
async function nearestExisting(folder: string): Promise<string> {
  return stat(folder).then(
    () => folder,
    (error: unknown) => {
      const isEnd = errnoOf(error) !== 'ENOENT' || path.dirname(folder) === folder
      return isEnd ? folder : nearestExisting(path.dirname(folder))
    },
  )
}

/** Of users, and of the ranges that rootless containers of users get. */
async function checkUids({ base, size }: NodeConfig['uid']): Promise<readonly Finding[]> {
  const [users, ranges] = await Promise.all([
    readColumns('/etc/passwd').then((rows) => rows.map(([name, , uid]) => [name, uid, '1'])),
    readColumns('/etc/subuid'),
  ])
  const taken = [...users, ...ranges].find(([, first, count]) => {
    return Number(first) < base + size && Number(first) + Number(count) > base
  })
  const range = `${base} to ${base + size - 1}`
  return [
    finding('user ids for tasks', taken === undefined, {
      isRequired: false,
      detail: range,
      remedy: `The user ${taken?.[0] ?? ''} has ids among ${range}: choose others with uid.base in node.toml.`,
    }),
  ]
}

/** Lines of columns between colons; none when there is no such file. */
async function readColumns(file: string): Promise<readonly (readonly string[])[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => line.split(':'))
}
