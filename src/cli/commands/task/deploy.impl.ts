/** `quiver deploy`: what it does. */

import type { DeployDifference, DeployResult } from '../../../client/resources.ts'
import { formatAddresses } from '../../addresses.ts'
import type { CliContext } from '../../context.ts'
import { formatBytes, formatCount, formatDigest, formatMilliseconds } from '../../format.ts'
import { sendImage } from '../../image.ts'
import type { SentImage } from '../../image.ts'
import { describeDeployment, nothingDeployed } from '../../interrupted.ts'
import { buildOverrides } from '../../overrides.ts'
import type { OverrideFlags } from '../../parameters.ts'
import { foreign, printJson, say } from '../../print.ts'
import { paintFor } from '../../style.ts'
import { formatPairs } from '../../table.ts'

interface Flags extends OverrideFlags {
  readonly name?: string
  readonly traffic?: number
  readonly dryRun: boolean
  readonly json: boolean
}

export async function deploy(this: CliContext, flags: Flags, target = '.'): Promise<void> {
  using client = await this.openClient()
  const sent = await sendImage(this, client, target).catch((thrown: unknown) => {
    throw this.signal.aborted ? nothingDeployed() : thrown
  })
  const config = flags.config ?? sent.manifest.default_config
  const overrides = await buildOverrides(this, flags, sent.folder)
  const body = {
    image: sent.image.digest,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(config === undefined ? {} : { config }),
    ...(flags.traffic === undefined ? {} : { trafficPercent: flags.traffic }),
    overrides,
  }
  if (flags.dryRun) {
    const difference = await client.call('difference', { body }, this.signal)
    if (flags.json) printJson(this, difference)
    else showDifference(this, difference)
    return
  }
  const result = await client.call('deploy', { body }, this.signal).catch(async (thrown) => {
    const name = flags.name ?? sent.manifest.name
    throw this.signal.aborted ? await describeDeployment(client, name, body) : thrown
  })
  const timings = [...sent.timings, ...result.timings]
  if (flags.json) {
    const { filesSent, bytesSent } = sent
    printJson(this, { ...result, timings, filesSent, bytesSent })
    return
  }
  showResult(this, sent, result)
}

function showResult(context: CliContext, sent: SentImage, result: DeployResult): void {
  const what = result.isUnchanged ? 'is unchanged at' : result.isNew ? 'is deployed as' : 'now has'
  say(context, `${result.task} ${what} revision ${result.revision}`)
  const timings = [...sent.timings, ...result.timings]
  const spent = timings.map(({ name, ms }) => `${name} ${formatMilliseconds(ms)}`)
  const pairs: [string, string][] = [
    ['image', `${formatDigest(result.image)} (${formatBytes(result.imageBytes)})`],
    ['sent', `${formatCount(sent.filesSent, 'file')}, ${formatBytes(sent.bytesSent)}`],
    ['time', spent.join(', ')],
    ...result.publish.map((port): [string, string] => [
      'port',
      `${port.address}:${port.hostPort} → ${port.port}${port.error === null ? '' : ` (${port.error})`}`,
    ]),
    ...formatAddresses(result.addresses).map((text): [string, string] => ['address', text]),
  ]
  context.process.stderr.write(formatPairs(pairs))
  // Alone on stdout, and last: for `curl "$(quiver deploy)"` and for the eye.
  for (const url of result.urls) context.process.stdout.write(`${url}\n`)
}

function showDifference(context: CliContext, difference: DeployDifference): void {
  const paint = paintFor(context.process.stdout, context.process.env)
  const { task, isNew, isUnchanged, revision, addresses, changes, files } = difference
  const lines = [
    ...changes.map(({ path, before, after }) =>
      foreign(context, `  ${path}: ${before ?? '(none)'} → ${after ?? '(none)'}`),
    ),
    ...files.map(({ path, change }) => paint(COLOURS[change], `  ${MARKS[change]} ${path}`)),
    ...formatAddresses(addresses).map((text) => `  address: ${text}`),
  ]
  const since = `compared with revision ${revision}`
  const title = isNew
    ? `${task} would be new`
    : isUnchanged
      ? `${task} would not change`
      : `${task} would change, ${since}:`
  context.process.stdout.write(`${[title, ...lines].join('\n')}\n`)
}

const MARKS = { added: '+', changed: '~', removed: '-' } as const
const COLOURS = { added: 'green', changed: 'yellow', removed: 'red' } as const
