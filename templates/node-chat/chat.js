// A chat room over WebSocket (RFC 6455), of the standard library alone.
const { createHash } = require('node:crypto')
const { readFileSync } = require('node:fs')
const { createServer } = require('node:http')

const PAGE = readFileSync(`${__dirname}/index.html`)
const MESSAGE_BYTES_MAX = 64 * 1024
const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10]
const room = new Set()

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(PAGE)
})

server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] ?? ''
  const accept = createHash('sha1')
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  )
  room.add(socket)
  socket.on('close', () => room.delete(socket))
  socket.on('error', () => socket.destroy())

  let received = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    let frame
    while ((frame = readFrame(received)) !== undefined) {
      received = received.subarray(frame.end)
      answer(socket, frame)
    }
    if (received.length > MESSAGE_BYTES_MAX) socket.destroy()
  })
})

function answer(socket, { opcode, payload }) {
  if (opcode === CLOSE) socket.end(writeFrame(CLOSE, payload))
  if (opcode === PING) socket.write(writeFrame(PONG, payload))
  if (opcode !== TEXT) return
  for (const member of room) member.write(writeFrame(TEXT, payload))
}

/** The first whole frame of what was received, unmasked; undefined while it is not whole. */
function readFrame(bytes) {
  if (bytes.length < 2) return undefined
  const short = bytes[1] & 127
  const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + 4
  if (bytes.length < start) return undefined
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (bytes.length < start + length) return undefined
  const mask = bytes.subarray(start - 4, start)
  const payload = Buffer.from(bytes.subarray(start, start + length))
  for (let index = 0; index < length; index++) payload[index] ^= mask[index % 4]
  return { opcode: bytes[0] & 15, payload, end: start + length }
}

function writeFrame(opcode, payload) {
  const isShort = payload.length < 126
  const head = Buffer.alloc(isShort ? 2 : 10)
  head[0] = 128 | opcode
  head[1] = isShort ? payload.length : 127
  if (!isShort) head.writeBigUInt64BE(BigInt(payload.length), 2)
  return Buffer.concat([head, payload])
}

server.listen(Number(process.env.PORT), () => console.log(`listening on ${process.env.PORT}`))

// Quiver asks with SIGTERM; members are told with a close frame.
process.on('SIGTERM', () => {
  server.close()
  for (const member of room) member.end(writeFrame(CLOSE, Buffer.from([3, 233])))
})
