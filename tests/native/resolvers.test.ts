/** The name server of PID 1 as the resolvers of real C libraries and programs use it. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, suite, test } from 'node:test'

import { NAME_RECORDS, NAME_SERVER } from './dns.ts'
import { Instance, Workshop } from './harness.ts'

const workshop = new Workshop()
after(() => workshop[Symbol.dispose]())

/** `/etc` as an instance has it: no nsswitch.conf, and names of relays in hosts. */
function etc(): readonly string[] {
  const [resolv, hosts] = ['resolv.conf', 'hosts'].map((name) => path.join(workshop.folder, name))
  assert.ok(resolv !== undefined && hosts !== undefined)
  writeFileSync(resolv, `nameserver ${NAME_SERVER}\n`)
  writeFileSync(hosts, '127.0.0.1 localhost test\n127.0.0.2 api.example.org\n')
  for (const file of [resolv, hosts]) chmodSync(file, 0o644)
  return `--tmpfs /etc --ro-bind ${resolv} /etc/resolv.conf --ro-bind ${hosts} /etc/hosts`.split(
    ' ',
  )
}

async function run(args: readonly string[], bwrap: readonly string[] = []): Promise<string> {
  await using instance = await Instance.start(workshop, {
    records: NAME_RECORDS,
    bwrap: [...etc(), ...bwrap],
  })
  const watch = await instance.watch()
  await watch.event('exec')
  const { stdout, stderr } = await (await instance.exec(args)).finish()
  return stdout + stderr
}

async function assertFinds(find: (name: string) => Promise<string>): Promise<void> {
  assert.match(await find('a.example.com'), /127\.64\.0\.1/)
  assert.match(await find('api.example.org'), /127\.0\.0\.2/)
  assert.doesNotMatch(await find('www.example.org'), /127\.(64\.0|0\.0\.2)/)
}

suite('ainit: resolvers of programs', () => {
  const programs: readonly [what: string, program: string, args: readonly string[]][] = [
    ['glibc', '/usr/bin/getent', ['ahosts']],
    [
      'Python',
      '/usr/bin/python3',
      ['-c', 'import socket, sys; print(socket.getaddrinfo(sys.argv[1], 443))'],
    ],
    ['busybox', '/usr/bin/busybox', ['nslookup']],
  ]
  for (const [what, program, args] of programs) {
    const skip = existsSync(program) ? false : `${program} is not on this machine`
    test(`${what} finds a covered name, one of /etc/hosts, and no other`, { skip }, async () => {
      await assertFinds((name) => run([program, ...args, name]))
    })
  }

  const musl = '/usr/bin/musl-gcc'
  const skip = existsSync(musl) ? false : `${musl} is not on this machine`
  test('musl does, too', { skip }, async () => {
    const program = path.join(workshop.folder, 'lookup')
    execFileSync(musl, ['-static', '-o', program, path.join(import.meta.dirname, 'lookup.c')])
    const bind = ['--ro-bind', program, '/tmp/lookup']
    await assertFinds((name) => run(['/tmp/lookup', name], bind))
  })
})
