import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { buildSupervision, type Listener, type Supervision } from './supervision.ts'

const minimal: Supervision = {
  lockPath: '/run/q/lock',
  readyPath: '/run/q/listen',
  listen: [],
  processes: [{ name: 'control', args: ['/bin/true'], sockets: [] }],
}

const tcp = { kind: 'tcp', name: 'http', address: '127.0.0.1', port: 80 } as const
const withListen = (...listen: Listener[]): Supervision => ({ ...minimal, listen })
const withProcess = (part: object): Supervision => ({
  ...minimal,
  processes: [{ name: 'p', args: ['/x'], sockets: [], ...part }],
})

suite('buildSupervision()', () => {
  test('writes every record in its place', () => {
    const bytes = buildSupervision(
      {
        ...minimal,
        listen: [
          { kind: 'tcp', name: 'http', address: '127.0.0.1', port: 8080 },
          { kind: 'tcp', name: 'six', address: '::1', port: 0 },
          { kind: 'unix', name: 'api', path: '/run/my q/api', mode: 0o60, gid: 7 },
        ],
        processes: [
          { name: 'control', args: ['/bin/true'], sockets: ['api'], stopMs: 20_000 },
          {
            name: 'proxy',
            args: ['/bin/node', '', 'a=b c\nd'],
            env: { EMPTY: '', VALUE: 'x = "y"' },
            sockets: ['http', 'six'],
            oomScore: -500,
            user: { uid: 0, gid: 5 },
          },
        ],
      },
      3,
    )
    assert.deepEqual(bytes.toString().split('\0'), [
      'lock=/run/q/lock',
      'ready=/run/q/listen',
      'notify=3',
      'listen=http tcp 127.0.0.1:8080',
      'listen=six tcp [::1]:0',
      'listen=api unix /run/my q/api 0060 7',
      'process=control',
      'arg=/bin/true',
      'socket=api',
      'stop_ms=20000',
      'process=proxy',
      'arg=/bin/node',
      'arg=',
      'arg=a=b c\nd',
      'env=EMPTY=',
      'env=VALUE=x = "y"',
      'socket=http',
      'socket=six',
      'uid=0',
      'gid=5',
      'oom_score=-500',
      '',
      '',
    ])
  })

  const wrong: readonly [what: string, supervision: Supervision, expected: RegExp][] = [
    ['a host name', withListen({ ...tcp, address: 'localhost' }), /"localhost" is not an IP/],
    ['a zone', withListen({ ...tcp, address: 'fe80::1%lo' }), /not an IP/],
    ['a port beyond 65,535', withListen({ ...tcp, port: 65_536 }), /port 65536/],
    ['a fraction of a port', withListen({ ...tcp, port: 0.5 }), /port 0.5/],
    ['a name with a space', withListen({ ...tcp, name: 'a b' }), /"a b" is not a name/],
    ['the same name twice', withListen(tcp, tcp), /same name/],
    [
      'a mode of 4755',
      withListen({ ...tcp, kind: 'unix', path: '/s', mode: 0o4755, gid: 0 }),
      /mode/,
    ],
    ['an unknown socket', withProcess({ sockets: ['http'] }), /no socket "http"/],
    ['a relative program', withProcess({ args: ['node'] }), /"node" is not an absolute/],
    ['no program', withProcess({ args: [] }), /"" is not an absolute/],
    ['a NUL byte', withProcess({ args: ['/x', 'a\0env=B=C'] }), /NUL/],
    ['a variable with "=" in its name', withProcess({ env: { 'A=B': '' } }), /"A=B"/],
    ['a negative uid', withProcess({ user: { uid: -1, gid: 1 } }), /uid -1/],
    ['300 KiB', withProcess({ env: { A: 'x'.repeat(300 * 1024) } }), /bytes long/],
  ]
  for (const [what, supervision, expected] of wrong) {
    test(`refuses ${what}`, () => {
      assert.throws(() => buildSupervision(supervision, 3), {
        code: 'invalid_argument',
        reason: 'SUPERVISION_INVALID',
        message: expected,
      })
    })
  }

  test('refuses a socket path that no kernel takes, and says what to do', () => {
    const path = `/${'x'.repeat(107)}`
    const supervision = withListen({ kind: 'seqpacket', name: 's', path, mode: 0o600, gid: 0 })
    assert.throws(() => buildSupervision(supervision, 3), { reason: 'PATH_TOO_LONG' })
  })
})
