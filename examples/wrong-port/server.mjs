// Does not look at $PORT, as happens.
import { createServer } from 'node:http'

createServer((_request, response) => response.end('nobody hears this\n')).listen(3000)
