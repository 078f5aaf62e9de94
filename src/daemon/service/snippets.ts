/**
 * Untrusted JavaScript, run once for a caller who waits: a run like any other, in a sandbox of its own, whose program is the JavaScript engine
 * and whose script comes as input. So there is one image for all snippets, and nothing of any is kept.
 */

import type { SnippetRequest, SnippetResult } from '../../api/resources.ts'
import { parseManifest } from '../../config/manifest.ts'
import { resolveManifest } from '../../config/resolve.ts'
import { monotonicMs } from '../../core/clock.ts'
import type { Digest } from '../../core/digest.ts'
import { QuiverError } from '../../core/error.ts'
import type { ExitReport } from '../../core/instance.ts'
import { SCRIPT_INPUT, WASM_DEFAULTS, type TaskSpec } from '../../core/task.ts'
import type { Session } from '../../drivers/driver.ts'

import { freeName } from './names.ts'
import type { ServiceParts } from './parts.ts'

const NAME = 'snippet'
const ENGINE = { name: 'js', version: undefined } as const
const MEMORY_BYTES = 64 * 1024 * 1024
const TIMEOUT_MS = 10_000
/** Of each output; more is read and thrown away, so that whoever writes it does not wait. */
const OUTPUT_BYTES_MAX = 1024 * 1024
/** At the same time: each is a process. */
const RUNNING_MAX = 16

export class Snippets {
  readonly #parts: ServiceParts
  #running = 0

  constructor(parts: ServiceParts) {
    this.#parts = parts
  }

  readonly run = async (request: SnippetRequest, signal: AbortSignal): Promise<SnippetResult> => {
    if (this.#running >= RUNNING_MAX) throw busy()
    this.#running++
    try {
      return await this.#run(request, signal)
    } finally {
      this.#running--
    }
  }

  async #run(request: SnippetRequest, signal: AbortSignal): Promise<SnippetResult> {
    const { scheduler } = this.#parts
    const beganAtMs = monotonicMs()
    const spec = buildSpec(request, freeName(NAME, scheduler.registry))
    const stdio = { isTerminal: false, isHeld: true, hasStdin: true }
    const managed = await scheduler.prepareRun(spec, await this.#putImage(), {
      stdio,
      mounts: [],
      isRemovedAtEnd: true,
    })
    const { instance } = managed
    const stop = (): void => void instance.stop('STOPPED', 0)
    signal.addEventListener('abort', stop, { once: true })
    try {
      const starting = scheduler.controller(spec.name).launch(managed)
      starting.catch(() => {})
      await using session = await instance.attach(true).catch(async (thrown: unknown) => {
        await starting
        throw thrown
      })
      const ended = await talk(session, request, instance.exited)
      return { ...ended, durationMs: Math.round(monotonicMs() - beganAtMs) }
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  /** The same one each time: storing what is stored costs little. */
  async #putImage(): Promise<Digest> {
    const { images } = this.#parts
    const binary = await images.resolveBinary(ENGINE)
    const image = await images.putImage({
      schema: 1,
      kind: 'image',
      name: NAME,
      version: null,
      title: null,
      author: null,
      tags: [],
      binary: binary.digest,
      binaryReference: ENGINE.name,
      spec: buildSpec({ code: '' }, NAME),
      configs: {},
      tree: [],
    })
    return image.digest
  }
}

function buildSpec(request: SnippetRequest, name: string): TaskSpec {
  const { args = [], env = {}, memoryBytes = MEMORY_BYTES, timeoutMs = TIMEOUT_MS } = request
  const spec = resolveManifest(parseManifest(`name = "${name}"\nfile = "snippet.js"\n`))
  return {
    ...spec,
    args,
    env,
    network: 'none',
    limits: { ...spec.limits, memoryBytes, wallTimeMs: timeoutMs },
    wasm: { ...WASM_DEFAULTS, script: SCRIPT_INPUT },
  }
}

async function talk(
  session: Session,
  { code, input = '' }: SnippetRequest,
  exited: Promise<ExitReport>,
): Promise<Omit<SnippetResult, 'durationMs'>> {
  const script = Buffer.from(code)
  // A script that ends before it has read its input closes it: that is no error.
  session.stdin.on('error', () => {})
  session.stdin.write(script.length.toString(16).padStart(8, '0'))
  session.stdin.write(script)
  session.stdin.end(input)
  const [stdout, stderr, report] = await Promise.all([
    collect(session.stdout),
    collect(session.stderr),
    exited,
    // Lost with the process, which its report tells better.
    session.status.catch(() => null),
  ])
  return {
    stdout: stdout.text,
    stderr: stderr.text,
    isTruncated: stdout.isTruncated || stderr.isTruncated,
    status: report.status,
    reason: report.reason,
  }
}

async function collect(
  stream: NodeJS.ReadableStream,
): Promise<{ readonly text: string; readonly isTruncated: boolean }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    const part = Buffer.from(chunk)
    if (bytes < OUTPUT_BYTES_MAX) chunks.push(part.subarray(0, OUTPUT_BYTES_MAX - bytes))
    bytes += part.length
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return { text, isTruncated: bytes > OUTPUT_BYTES_MAX }
}

function busy(): QuiverError {
  const message = `${RUNNING_MAX} snippets are running already`
  return new QuiverError('resource_exhausted', 'SNIPPETS_BUSY', message, {
    hint: 'Try again when one of them has ended.',
  })
}
