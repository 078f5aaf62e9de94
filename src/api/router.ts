/** Which call of the API a request is: by its method and path, from the table of endpoints. What it means is not known here. */

import { ENDPOINTS, type EndpointId } from './endpoints.ts'

export interface Matched<I extends EndpointId> {
  readonly id: I
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>
  /** Percent-decoded; of a name that comes twice, the first. */
  readonly query: Readonly<Record<string, string>>
}

export class Router<I extends EndpointId> {
  /** By method. No two paths take the same request. */
  readonly #calls: ReadonlyMap<
    string,
    readonly { readonly id: I; readonly path: readonly string[] }[]
  >

  constructor(ids: readonly I[]) {
    const calls = ids.map((id) => ({ id, path: ENDPOINTS[id].path.split('/') }))
    this.#calls = Map.groupBy(calls, ({ id }) => ENDPOINTS[id].method)
  }

  /**
   * @param target  of the request, as it came
   * @returns undefined when there is no such call
   */
  match(method: string, target: string): Matched<I> | undefined {
    const mark = target.indexOf('?')
    const path = (mark === -1 ? target : target.slice(0, mark)).split('/')
    const search = new URLSearchParams(mark === -1 ? '' : target.slice(mark))
    for (const call of this.#calls.get(method === 'HEAD' ? 'GET' : method) ?? []) {
      const params = matchPath(call.path, path)
      if (params === undefined) continue
      return { id: call.id, params, query: Object.fromEntries([...search].toReversed()) }
    }
    return undefined
  }
}

function matchPath(
  pattern: readonly string[],
  path: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== path.length) return undefined
  const params: [name: string, value: string][] = []
  for (const [index, part] of pattern.entries()) {
    const given = path[index] ?? ''
    if (part.startsWith(':') && given !== '') params.push([part.slice(1), decode(given)])
    else if (part !== given) return undefined
  }
  return Object.fromEntries(params)
}

/** What cannot be decoded stays as it came: the schema of the call refuses it. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
