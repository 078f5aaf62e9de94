/** What the flags of `run` and `deploy` change of an image. */

import path from 'node:path'

import type { SpecOverrides } from '../client/resources.ts'
import { loadDotenv, loadEnvFile } from '../config/dotenv.ts'
import { mergeEnvironment, parseEnvFlags } from '../config/env.ts'

import type { CliContext } from './context.ts'
import type { OverrideFlags } from './parameters.ts'

/**
 * @param folder  of the manifest, for its `.env`; undefined when there is none
 * @param args  after `--`; empty: as the image says
 * @throws QuiverError for a variable or file that cannot be used
 */
export async function buildOverrides(
  context: CliContext,
  flags: OverrideFlags,
  folder: string | undefined,
  args: readonly string[] = [],
): Promise<SpecOverrides> {
  const files = await Promise.all(
    (flags.envFile ?? []).map((file) => loadEnvFile(path.resolve(context.folder, file))),
  )
  const dotenv = folder === undefined ? {} : await loadDotenv(path.join(folder, '.env'))
  const own = parseEnvFlags(flags.env ?? [], context.process.env)
  const env = mergeEnvironment({ flags: own, files, dotenv })
  return {
    ...(args.length > 0 ? { args } : {}),
    ...(Object.keys(env).length > 0 ? { env } : {}),
    ...(flags.memory === undefined ? {} : { memoryBytes: flags.memory }),
    ...(flags.cpu === undefined ? {} : { cpuMillis: flags.cpu }),
    ...(flags.publish === undefined ? {} : { publish: flags.publish }),
    ...(flags.isolation === undefined ? {} : { isolation: flags.isolation }),
    ...(flags.network === undefined ? {} : { network: flags.network }),
    ...(flags.hostname === undefined ? {} : { hostname: flags.hostname }),
    ...(flags.ip === undefined ? {} : { ip: flags.ip }),
    ...(flags.mac === undefined ? {} : { mac: flags.mac }),
    ...(flags.dns === undefined ? {} : { dns: flags.dns }),
  }
}
