// The smallest web server in Node.js. Quiver gives it the port, and ends it with SIGTERM.
import { createServer } from 'node:http'

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`hello from process ${process.pid}\n`)
})

server.listen(process.env.PORT)
process.once('SIGTERM', () => server.close())
