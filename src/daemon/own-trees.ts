/** Which trees the processes of a node have mounted: what is in them must stay, whatever made it. */

import { readdir } from 'node:fs/promises'
import path from 'node:path'

import { readPlan } from '../drivers/record.ts'

/**
 * An instance has a folder with its plan from before its process is started until it is removed. One without a plan is being made
 * by this process, or was never started.
 *
 * @param folders  of instances, in the data folder
 */
export async function findTreesInUse(
  dataFolder: string,
  folders: readonly string[],
): Promise<ReadonlySet<string>> {
  const trees = new Set<string>()
  for (const folder of folders) {
    const parent = path.join(dataFolder, folder)
    const names = await readdir(parent).catch(() => [])
    const plans = await Promise.all(names.map((name) => readPlan(path.join(parent, name))))
    for (const plan of plans) if (plan !== undefined) trees.add(plan.binaryTree)
  }
  return trees
}
