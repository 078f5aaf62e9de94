// A chat room: serves one page, and passes what anybody writes on to everybody.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

import { acceptWebSocket } from './websocket.mjs'

const page = readFileSync(new URL('index.html', import.meta.url))
const guests = new Set()

const server = createServer((request, response) => {
  if (request.url !== '/') {
    response.writeHead(404).end('there is only /\n')
    return
  }
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(page)
})

server.on('upgrade', (request, socket, head) => {
  const guest = acceptWebSocket(request, socket, head, {
    onMessage: (text) => tellAll(text),
    onClose: () => {
      guests.delete(guest)
      tellAll(`somebody left, ${guests.size} here`)
    },
  })
  if (guest === undefined) return
  guests.add(guest)
  tellAll(`somebody came, ${guests.size} here`)
})

function tellAll(text) {
  for (const guest of guests) guest.send(text)
}

server.listen(process.env.PORT)
process.once('SIGTERM', () => {
  for (const guest of guests) guest.close()
  server.close()
})
