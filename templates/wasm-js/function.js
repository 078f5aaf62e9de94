// Runs in a fresh instance of WebAssembly for each request: no files, no network but what "allow" names.
export default {
  async fetch(request, env) {
    console.log(request.method, new URL(request.url).pathname)
    const text = await request.text()
    return new Response(text.toUpperCase())
  },
}
