/**
 * The certificate of a node: the one it was given, looked at before the start, or a self-signed one that is made once
 * with openssl(1) and kept in the data folder.
 */

import { execFile } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { createSecureContext } from 'node:tls'
import { promisify } from 'node:util'

import { errnoOf, QuiverError } from '../core/error.ts'

const run = promisify(execFile)
const DAYS = 3650
const OPENSSL_TIMEOUT_MS = 30_000

/** PEM files. */
export interface CertificateFiles {
  readonly key: string
  readonly cert: string
}

/**
 * For `localhost` and every name below it, with a P-256 key that only this user can read.
 *
 * @param folder  made when it is missing; the pair in it is used while the certificate is valid, and made again after that,
 *   or when the clock was wrong at the time
 * @throws QuiverError `failed_precondition/OPENSSL_MISSING`, `unavailable/CERTIFICATE_FAILED`
 */
export async function ensureSelfSigned(folder: string): Promise<CertificateFiles> {
  const files = { key: path.join(folder, 'key.pem'), cert: path.join(folder, 'cert.pem') }
  if (await isValidNow(files)) return files
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const work = await mkdtemp(path.join(folder, 'new-'))
  try {
    const made = { key: path.join(work, 'key.pem'), cert: path.join(work, 'cert.pem') }
    await makePair(made)
    // The certificate goes first and comes last: a pair is complete when it is there.
    await rm(files.cert, { force: true })
    await rename(made.key, files.key)
    await rename(made.cert, files.cert)
    return files
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function isValidNow({ key, cert }: CertificateFiles): Promise<boolean> {
  try {
    await access(key)
    const { validFromDate, validToDate } = new X509Certificate(await readFile(cert))
    const nowMs = Date.now()
    return validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime()
  } catch {
    return false
  }
}

/**
 * Finds out before anything starts what the proxy would only find out when it is too late to say it to anybody.
 *
 * @throws QuiverError `invalid_argument/CERTIFICATE_INVALID` naming the file
 */
export async function assertUsable({ key, cert }: CertificateFiles): Promise<void> {
  const pair = { key: await readPem(key, 'tls.key'), cert: await readPem(cert, 'tls.certificate') }
  // One after the other, so that the error names the right file.
  assertPem(() => createSecureContext({ cert: pair.cert }), `${cert} is no PEM certificate`)
  assertPem(() => createPrivateKey(pair.key), `${key} is no PEM private key without a passphrase`)
  assertPem(() => createSecureContext(pair), `the key ${key} is not that of ${cert}`)
}

async function readPem(file: string, setting: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const why = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : String(cause)
    throw invalidCertificate(`${setting} is ${file}, but ${why}`, cause)
  }
}

function assertPem(parse: () => unknown, message: string): void {
  try {
    parse()
  } catch (cause) {
    throw invalidCertificate(message, cause)
  }
}

function invalidCertificate(message: string, cause: unknown): QuiverError {
  return new QuiverError('invalid_argument', 'CERTIFICATE_INVALID', message, {
    cause,
    hint: 'Set tls.certificate and tls.key to PEM files that belong together, or leave both out for a self-signed certificate.',
  })
}

async function makePair({ key, cert }: CertificateFiles): Promise<void> {
  const names = 'subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1'
  const args = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'.split(' ')
  args.push('-keyout', key, '-out', cert, '-days', String(DAYS))
  args.push('-subj', '/CN=localhost', '-addext', names)
  try {
    await run('openssl', args, { timeout: OPENSSL_TIMEOUT_MS })
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') {
      throw new QuiverError('failed_precondition', 'OPENSSL_MISSING', 'openssl is not installed', {
        cause,
        hint: 'Run "quiver doctor --fix", or set listen.https to "off" or tls.certificate and tls.key to your own.',
      })
    }
    throw new QuiverError('unavailable', 'CERTIFICATE_FAILED', 'openssl made no certificate', {
      cause,
    })
  }
}
