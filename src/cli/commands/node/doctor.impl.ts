/** `quiver doctor`: what it does. */

import path from 'node:path'

import { loadNodeConfig, resolveNodeConfig, type NodeConfig } from '../../../config/node.ts'
import { CODES, QuiverError } from '../../../core/error.ts'
import type { CliContext } from '../../context.ts'
import { finding } from '../../doctor/finding.ts'
import type { Finding } from '../../doctor/finding.ts'
import { checkKernel } from '../../doctor/kernel.ts'
import { checkMachine } from '../../doctor/machine.ts'
import { checkMicrovm, describeProcessor } from '../../doctor/microvm.ts'
import { checkSoftware } from '../../doctor/software.ts'
import { planTreatment, treat } from '../../doctor/treatment.ts'
import { localFolders } from '../../local.ts'
import { printJson, say } from '../../print.ts'
import { paintFor } from '../../style.ts'

interface Flags {
  readonly fix: boolean
  readonly examples: boolean
  readonly microvm: boolean
  readonly json: boolean
}

const HEALTH_TIMEOUT_MS = 5000

export async function doctor(this: CliContext, flags: Flags): Promise<void> {
  let findings = await examine(this, flags)
  const plan = planTreatment(findings)
  if (flags.fix && plan !== undefined) {
    await treat(this, plan)
    findings = await examine(this, flags)
  }
  const isWell = findings.every(({ isPresent, isRequired }) => isPresent || !isRequired)
  if (!isWell) this.process.exitCode = CODES.failed_precondition.exit
  if (flags.json) {
    printJson(this, { isWell, findings })
    return
  }
  for (const one of findings) show(this, one)
  if (plan !== undefined && !flags.fix)
    say(this, 'Run "quiver doctor --fix" to install and build what is missing.')
  if (!isWell) say(this, 'A node cannot run here yet.')
}

async function examine(
  context: CliContext,
  { examples, microvm }: Flags,
): Promise<readonly Finding[]> {
  const { config, findings } = await readSettings(context.process.env)
  const groups = await Promise.all([
    askNode(context),
    checkKernel(),
    checkSoftware(examples),
    checkMicrovm(context, microvm),
    checkMachine(config),
  ])
  return [...findings, ...groups.flat()]
}

/** What a node that runs here says of itself: nothing when none does, and nothing of another machine's. */
async function askNode(context: CliContext): Promise<readonly Finding[]> {
  if ((context.process.env['QUIVER_HOST'] ?? '') !== '') return []
  try {
    using client = await context.openClient()
    const health = await client.call('health', {}, AbortSignal.timeout(HEALTH_TIMEOUT_MS))
    const { problems } = health
    const isWell = problems.length === 0
    const node = finding('node', isWell, { isRequired: false, remedy: `${problems.join('; ')}.` })
    return [node, ...describeProcessor(health)]
  } catch {
    return []
  }
}

/** What `quiver up` would start with; settings that are wrong are named, and the usual ones examined. */
async function readSettings(
  env: CliContext['process']['env'],
): Promise<{ readonly config: NodeConfig; readonly findings: readonly Finding[] }> {
  const uid = process.getuid?.() ?? 0
  try {
    const { config } = await loadNodeConfig({ flags: {}, env, uid })
    return { config, findings: [] }
  } catch (thrown) {
    const { message, hint } = QuiverError.from(thrown)
    const flags = { data: path.resolve(localFolders(env).data) }
    const { config } = resolveNodeConfig({ flags, env: {}, files: [], uid })
    const remedy = hint === undefined ? message : `${message}. ${hint}`
    return { config, findings: [finding('settings', false, { remedy })] }
  }
}

function show(
  { process }: CliContext,
  { feature, isPresent, isRequired, detail, remedy, fix }: Finding,
): void {
  const paint = paintFor(process.stdout, process.env)
  const suffix = detail === '' ? '' : paint('dim', ` (${detail})`)
  if (isPresent) {
    process.stdout.write(`${paint('green', 'ok      ')}  ${feature}${suffix}\n`)
    return
  }
  const word = isRequired ? paint('red', 'missing ') : paint('yellow', 'less    ')
  const cure = fix?.kind === 'packages' ? ` Install: ${fix.packages.join(' ')}.` : ''
  process.stdout.write(`${word}  ${feature}: ${remedy}${cure}\n`)
}
