// A web server of the standard library alone. Quiver starts it with the first request.
const { createServer } = require('node:http')

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`hello from my-app, you asked for ${request.url}\n`)
})

server.listen(Number(process.env.PORT), () => console.log(`listening on ${process.env.PORT}`))

// Quiver asks with SIGTERM; requests in flight are answered first.
process.on('SIGTERM', () => server.close())
