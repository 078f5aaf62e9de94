// Hears SIGTERM, says so, and goes on.
import { createServer } from 'node:http'

process.on('SIGTERM', () => console.error('not now'))
createServer((_request, response) => response.end('still here\n')).listen(process.env.PORT)
