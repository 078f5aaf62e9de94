// As much of WebSocket (RFC 6455) as a chat needs: text messages in one frame, ping, close.
import { createHash } from 'node:crypto'

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10
const MESSAGE_BYTES_MAX = 65_535

// Answers the handshake. Returns { send, close }, or undefined when it was none.
export function acceptWebSocket(request, socket, head, { onMessage, onClose }) {
  const key = request.headers['sec-websocket-key']
  const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket'
  if (!isWebSocket || key === undefined || request.headers['sec-websocket-version'] !== '13') {
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    return undefined
  }
  const proof = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
      `sec-websocket-accept: ${proof.digest('base64')}\r\n\r\n`,
  )

  let received = head
  const close = () => socket.end(encodeFrame(CLOSE, Buffer.alloc(0)))
  const handle = ({ opcode, payload }) => {
    if (opcode === TEXT) onMessage(payload.toString())
    else if (opcode === PING) socket.write(encodeFrame(PONG, payload))
    else if (opcode === CLOSE) close()
    else if (opcode !== PONG) socket.destroy()
  }
  const read = (chunk) => {
    received = Buffer.concat([received, chunk])
    for (let frame = decodeFrame(received); frame !== undefined; frame = decodeFrame(received)) {
      received = received.subarray(frame.size)
      if (frame.isRefused) socket.destroy()
      else handle(frame)
    }
  }
  socket.on('data', read)
  socket.on('error', () => {})
  socket.on('end', () => socket.end())
  socket.once('close', onClose)
  read(Buffer.alloc(0))
  return { send: (text) => socket.write(encodeFrame(TEXT, Buffer.from(text))), close }
}

// The first frame of what was received; undefined while it is incomplete.
function decodeFrame(bytes) {
  if (bytes.length < 2) return undefined
  const opcode = bytes[0] & 0x0f
  const short = bytes[1] & 0x7f
  const isWhole = (bytes[0] & 0x80) !== 0 && opcode !== 0
  const isMasked = (bytes[1] & 0x80) !== 0
  if (!isWhole || !isMasked || short === 127) return { isRefused: true, size: bytes.length }

  const start = short === 126 ? 4 : 2
  if (bytes.length < start) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short
  const size = start + 4 + length
  if (bytes.length < size) return undefined
  const mask = bytes.subarray(start, start + 4)
  const payload = bytes.subarray(start + 4, size).map((byte, index) => byte ^ mask[index & 3])
  return { isRefused: false, opcode, payload, size }
}

function encodeFrame(opcode, payload) {
  const bytes = payload.subarray(0, MESSAGE_BYTES_MAX)
  const isShort = bytes.length < 126
  const header = Buffer.alloc(isShort ? 2 : 4)
  header[0] = 0x80 | opcode
  header[1] = isShort ? bytes.length : 126
  if (!isShort) header.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([header, bytes])
}
