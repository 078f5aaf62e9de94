// Answers with the words of a text, as JSON, and with the text shortened to LENGTH characters.

interface Env {
  readonly LENGTH: string
}

/** Shared by all requests as it is here: nobody sees what another one adds. */
const seen = new Set<string>()

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method !== 'POST') {
      return new Response('POST a text.\n', { status: 405, headers: { Allow: 'POST' } })
    }
    const text = await request.text()
    const words = text.match(/\p{L}+/gu) ?? []
    for (const word of words) seen.add(word.toLowerCase())
    const short = new URL(request.url).searchParams.has('short')
    if (short) return new Response(`${text.trim().slice(0, Number(env.LENGTH))}\n`)
    return Response.json({ words: words.length, different: seen.size })
  },
}
