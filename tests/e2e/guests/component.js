// A service worker: componentize-js makes a component of wasi:http/proxy of it.
let calls = 0

addEventListener('fetch', (event) => event.respondWith(answer(event.request)))

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url)
  calls++
  switch (pathname) {
    case '/echo':
      return new Response(request.body, { headers: { 'x-method': request.method } })
    case '/later':
      await new Promise((resolve) => setTimeout(resolve, 50))
      return new Response('later\n')
    case '/get': {
      const response = await fetch(searchParams.get('url'))
      return new Response(`${response.status} ${await response.text()}`)
    }
    case '/throw':
      throw new Error('on purpose')
    default:
      return new Response(`hello ${calls}\n`, { headers: { 'content-type': 'text/plain' } })
  }
}
