/**
 * A process for tests of the supervisor: serves on every socket it is handed, and answers each connection with one JSON
 * object that says what it was given.
 */

import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'

const count = Number(process.env['LISTEN_FDS'])
/** Without opening a folder, which would be a descriptor too. */
const LIST_DESCRIPTORS =
  'n=3; while [ $n -lt 200 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n + 1)); done; true'
const entries = Object.entries(process.env).filter(([name]) => name.startsWith('LISTEN_'))

for (let fd = 3; fd < 3 + count; fd++) {
  const server = createServer((socket) => {
    // What a child of ours finds open beside its stdio: nothing, or sockets would outlive us.
    const inherited = execFileSync('/bin/sh', ['-c', LIST_DESCRIPTORS], { encoding: 'utf8' })
    socket.end(
      JSON.stringify({
        fd,
        pid: process.pid,
        parent: process.ppid,
        env: Object.fromEntries(entries),
        inherited: inherited.trim(),
      }),
    )
  })
  server.listen({ fd })
}
process.on('SIGTERM', () => process.exit(0))
