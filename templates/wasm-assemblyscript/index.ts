// AssemblyScript: answers with the body in capitals.

import * as quiver from './quiver'

/** The export that answers requests; what it returns is the status. */
export function handle(): i32 {
  const body = quiver.bufferRead(quiver.bufferInput(), 0)
  if (body === null) return 500
  const output = quiver.bufferOutput()
  quiver.bufferSetHeader(output, 'content-type', 'text/plain; charset=utf-8')
  quiver.bufferWrite(output, String.UTF8.encode(String.UTF8.decode(body).toUpperCase()))
  return 200
}
