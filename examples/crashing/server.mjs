// Answers, but GET /crash ends the process with status 1 before the answer, and GET /half in the middle of it.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  if (request.url === '/crash') {
    console.error('crashing as asked')
    process.exit(1)
  }
  if (request.url === '/half') {
    response.setHeader('content-length', 1000)
    response.write('half of the ans', () => process.exit(1))
    return
  }
  response.end('alive\n')
})

server.listen(process.env.PORT)
process.once('SIGTERM', () => server.close())
