// Counts visits in Redis, whose protocol is simple enough to be spoken by hand.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  call('INCR', 'visits').then(
    (visits) => response.end(`visit number ${visits}\n`),
    (error) => response.writeHead(502).end(`redis: ${error.message}\n`),
  )
})

// One command on a connection of its own, so that an idle Redis may be paused.
async function call(...command) {
  const socket = connect({ host: 'redis', port: 6379 })
  try {
    await once(socket, 'connect')
    socket.write(encode(command))
    let reply = ''
    for await (const chunk of socket.setEncoding('latin1')) {
      reply += chunk
      if (reply.endsWith('\r\n')) return decode(reply.trimEnd())
    }
    throw new Error('the connection ended before the reply')
  } finally {
    socket.destroy()
  }
}

// https://redis.io/docs/latest/develop/reference/protocol-spec/
function encode(command) {
  const parts = command.map((text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`)
  return `*${parts.length}\r\n${parts.join('')}`
}

// Replies of one line: a number, a simple text, or an error.
function decode(line) {
  const [kind, rest] = [line[0], line.slice(1)]
  if (kind === ':' || kind === '+') return rest
  throw new Error(rest)
}

server.listen(process.env.PORT)
process.once('SIGTERM', () => server.close())
