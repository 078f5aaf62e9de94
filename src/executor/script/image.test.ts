import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { askScript, loadScript, LIMITS, RecordingWorld } from '../../../tests/fixtures/script.ts'

const MIB = 1024 * 1024

/** A function whose answer is the value of an expression, as JSON. */
function valueOf(expression: string): string {
  return `export default { async fetch(request, env, context) { return new Response(JSON.stringify(${expression})) } }`
}

suite('what a script finds', () => {
  const cases: readonly [what: string, expression: string, expected: unknown][] = [
    ['the language', '[3, 1].toSorted().concat(Object.groupBy([1], String)["1"])', [1, 3, 1]],
    ['await', 'await Promise.all([1, (async () => 2)()])', [1, 2]],
    [
      'a URL',
      'new URL("../b c?x=1#y", "http://Bücher.test:80/p/q/").href',
      'http://xn--bcher-kva.test/p/b%20c?x=1#y',
    ],
    [
      'parts of a URL',
      '(({ host, pathname, search, hash, origin }) => [host, pathname, search, hash, origin])(new URL("https://u:p@h.test:8443/a?b#c"))',
      ['h.test:8443', '/a', '?b', '#c', 'https://h.test:8443'],
    ],
    [
      'a URL whose parts are set',
      '(() => { const url = new URL("http://a.test/x"); url.port = 81; url.searchParams.append("k", "ä&"); url.pathname = "/y"; return url.href })()',
      'http://a.test:81/y?k=%C3%A4%26',
    ],
    ['no URL', 'URL.canParse("nothing") || URL.parse("http://") ', null],
    [
      'parameters',
      '[...new URLSearchParams("a=1&b=%20&a=2")].concat([[String(new URLSearchParams({ x: "y z" }))]])',
      [['a', '1'], ['b', ' '], ['a', '2'], ['x=y+z']],
    ],
    [
      'headers',
      '(() => { const h = new Headers([["B", "1"], ["a", " 2 "]]); h.append("b", "3"); return [...h] })()',
      [
        ['a', '2'],
        ['b', '1, 3'],
      ],
    ],
    [
      'cookies that are set',
      '(() => { const h = new Headers(); h.append("set-cookie", "a=1"); h.append("Set-Cookie", "b=2"); return h.getSetCookie() })()',
      ['a=1', 'b=2'],
    ],
    ['text as bytes', '[...new TextEncoder().encode("é€")]', [195, 169, 226, 130, 172]],
    ['half a character as bytes', '[...new TextEncoder().encode("\\ud800")]', [239, 191, 189]],
    [
      'bytes as text',
      'new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 195, 169]))',
      'é',
    ],
    [
      'bytes in pieces',
      '(() => { const d = new TextDecoder(); return d.decode(new Uint8Array([226, 130]), { stream: true }) + d.decode(new Uint8Array([172])) })()',
      '€',
    ],
    ['other encodings', 'new TextDecoder("windows-1252").decode(new Uint8Array([0x80]))', '€'],
    ['base64', 'atob(btoa("quiver"))', 'quiver'],
    [
      'random values',
      '[typeof crypto.randomUUID(), crypto.getRandomValues(new Uint16Array(3)).length]',
      ['string', 3],
    ],
    [
      'the time',
      '[Date.now() > 1.7e12, performance.now() >= 0, new Date(0).getTimezoneOffset()]',
      [true, true, 0],
    ],
    ['its environment', 'env.GREETING', 'hello'],
    ['a timer', 'await new Promise((done) => setTimeout(done, 1, "later"))', 'later'],
    [
      'a timer that repeats',
      'await new Promise((done) => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); done(n) } }, 1) })',
      3,
    ],
    [
      'the outside',
      'await (await fetch("http://b.test/x", { method: "POST", body: "in" })).text()',
      'POST http://b.test/x in',
    ],
    ['headers from outside', '(await fetch("http://b.test/")).headers.get("x-from")', 'outside'],
    [
      'a refusal of the outside',
      'await fetch("http://denied.test/").catch(String)',
      'TypeError: fetch failed: denied.test may not be reached',
    ],
    [
      'its request',
      '[request.method, request.url, request.headers.get("X-Two"), await request.json()]',
      ['PUT', 'http://a.test/p?q', '2', { n: 1 }],
    ],
    [
      'a request of its own',
      '(({ method, headers }) => [method, headers.get("content-type")])(new Request("http://a.test/", { method: "post", body: new URLSearchParams("a=1") }))',
      ['POST', 'application/x-www-form-urlencoded;charset=UTF-8'],
    ],
    [
      'no files, no process, no modules',
      '[typeof process, typeof require, await import("node:fs").catch(() => "none")]',
      ['undefined', 'undefined', 'none'],
    ],
  ]
  for (const [what, expression, expected] of cases) {
    test(what, async () => {
      const image = loadScript(valueOf(expression), { env: { GREETING: 'hello' } })
      const request = {
        method: 'PUT',
        url: 'http://a.test/p?q',
        headers: ['X-Two', '2'],
        body: '{"n":1}',
      }
      const { answer } = await askScript(image, request)
      assert.deepEqual(JSON.parse(answer?.body ?? 'null'), expected)
    })
  }

  test('logs values as people read them', async () => {
    const image = loadScript(`export function fetch() {
      console.log('%s has %d', 'a', 3, { a: [1, 'x', null], m: new Map([['k', new Set([1])]]), f() {} })
      console.warn(new TypeError('odd').message)
      return new Response()
    }`)
    const { logged } = await askScript(image)
    assert.deepEqual(logged, [
      "info: a has 3 { a: [ 1, 'x', null ], m: Map(1) { 'k' => Set(1) { 1 } }, f: [Function: f] }",
      'warn: odd',
    ])
  })

  test('answers with status, headers and bytes, and may go on after that', async () => {
    const image = loadScript(`export default { fetch(request, env, context) {
      context.waitUntil(new Promise((done) => setTimeout(() => { console.log('done'); done() }, 2)))
      return new Response(new Uint8Array([104, 105]), { status: 201, headers: { 'X-A': 'b' } })
    } }`)
    const { answer, logged } = await askScript(image)
    assert.deepEqual(answer, { status: 201, headers: ['x-a', 'b'], body: 'hi' })
    assert.deepEqual(logged, ['info: done'])
  })
})

suite('between two requests', () => {
  const spoils = [
    'globalThis.seen = (globalThis.seen ?? 0) + 1',
    'Object.prototype.seen = 1',
    'Array.prototype.push = () => { throw new Error("poisoned") }',
    'Response.prototype.constructor = null; globalThis.Response = undefined',
    'counter++',
    'cache.set("secret", request.url)',
    'setInterval(() => { globalThis.seen = 1 }, 1)',
    'Promise.prototype.then = () => {}',
    'queueMicrotask(() => { for (const key of Object.keys(globalThis)) delete globalThis[key] })',
  ]
  for (const spoil of spoils) {
    test(`nothing is left of: ${spoil}`, async () => {
      const image = loadScript(`const cache = new Map(); let counter = 0
        export default { fetch(request) {
          const seen = [counter, cache.size, globalThis.seen, {}.seen, typeof Response, [].concat(1).length]
          const answer = new Response(JSON.stringify(seen))
          if (request.method === 'POST') { ${spoil} }
          return answer
        } }`)
      const before = (await askScript(image)).answer
      await askScript(image, { method: 'POST' }).catch(() => {})
      assert.deepEqual((await askScript(image)).answer, before)
    })
  }

  test('every byte of a memory that is used again is as the first time', () => {
    const image = loadScript(valueOf('1'))
    const world = new RecordingWorld()
    const first = image.open(world, LIMITS)
    const asMade = Uint8Array.from(new Uint8Array(first.engine.memory.buffer))
    new Uint8Array(first.engine.memory.buffer).fill(0xaa)
    image.close(first)
    const second = image.open(world, LIMITS)
    assert.equal(second.engine.memory, first.engine.memory, 'it is used again')
    assert.ok(Buffer.from(second.engine.memory.buffer).equals(asMade))
    image.close(second)
  })

  test('a memory that has grown is not used again', async () => {
    const image = loadScript(valueOf('"x".repeat(4e6).length'))
    const first = image.open(new RecordingWorld(), LIMITS)
    first.engine.memory.grow(1)
    image.close(first)
    const second = image.open(new RecordingWorld(), LIMITS)
    assert.notEqual(second.engine.memory, first.engine.memory)
  })

  test('what is random is random in each', async () => {
    const image = loadScript(`Math.random()
      export default { fetch: () => new Response([Math.random(), crypto.randomUUID()].join()) }`)
    const answers = await Promise.all(Array.from({ length: 20 }, () => askScript(image)))
    assert.equal(new Set(answers.map(({ answer }) => answer?.body)).size, 20)
  })

  test('requests that wait at the same time do not see each other', async () => {
    const image = loadScript(`let mine
      export default { async fetch(request) {
        mine = request.url
        await new Promise((done) => setTimeout(done, 2))
        return new Response(mine)
      } }`)
    const urls = Array.from({ length: 20 }, (_, index) => `http://a.test/${index}`)
    const answers = await Promise.all(urls.map((url) => askScript(image, { url })))
    assert.deepEqual(
      answers.map(({ answer }) => answer?.body),
      urls,
    )
  })
})

suite('a script that fails', () => {
  const loading: readonly [what: string, text: string, reason: string, message: RegExp][] = [
    ['has no meaning', 'let a = 1\nlet b = ;', 'SCRIPT_INVALID', /^function\.js:2:9: SyntaxError/],
    ['imports', 'import "./other.js"', 'SCRIPT_INVALID', /could not load module/],
    ['throws while it is loaded', '\n null.x', 'SCRIPT_FAILED', /function\.js:2:2: TypeError/],
    ['exports nothing', 'export const a = 1', 'SCRIPT_NO_HANDLER', /^function\.js exports nothing/],
    [
      'awaits while it is loaded',
      'await new Promise(() => {})',
      'SCRIPT_FAILED',
      /waits for something/,
    ],
    [
      'starts a timer while it is loaded',
      'setTimeout(() => {}, 1)',
      'SCRIPT_FAILED',
      /only while a request/,
    ],
    [
      'takes random values while it is loaded',
      'crypto.randomUUID()',
      'SCRIPT_FAILED',
      /only while a request/,
    ],
    ['never ends to load', 'for (;;);', 'CPU_TIME', /computed for longer than 100 ms/],
  ]
  for (const [what, text, reason, message] of loading) {
    test(`is refused when it ${what}`, () => {
      const limits = { ...LIMITS, cpuTimeMs: reason === 'CPU_TIME' ? 100 : 20_000 }
      assert.throws(() => loadScript(text, { limits }), { reason, message })
    })
  }

  const answering: readonly [what: string, body: string, reason: string, message: RegExp][] = [
    [
      'throws',
      'null.x',
      'SCRIPT_ERROR',
      /^the script failed: TypeError: cannot read property 'x' of null$/,
    ],
    ['throws something odd', 'throw { a: 1 }', 'SCRIPT_ERROR', /Uncaught \{ a: 1 \}/],
    ['returns something else', 'return 5', 'SCRIPT_ERROR', /returned 5 instead of a Response/],
    [
      'calls itself without end',
      '(function f() { return f() + 1 })()',
      'SCRIPT_ERROR',
      /RangeError: Maximum call stack/,
    ],
    ['computes without end', 'for (;;);', 'CPU_TIME', /longer than 100 ms/],
    [
      'catches everything',
      'for (;;) { try { for (;;); } catch {} finally {} }',
      'CPU_TIME',
      /longer than 100 ms/,
    ],
    [
      'fills its memory',
      'const all = []; for (;;) all.push(`${all.length}`.repeat(1000))',
      'OUT_OF_MEMORY',
      /more memory/,
    ],
    ['never stops its promises', 'for (;;) await 1', 'CPU_TIME', /longer than 100 ms/],
    [
      'matches without end',
      'return new Response(/^(a+)+$/.test("a".repeat(40) + "b"))',
      'CPU_TIME',
      /longer than 100 ms/,
    ],
  ]
  for (const [what, body, reason, message] of answering) {
    test(`is told when it ${what}, and the next request is answered`, async () => {
      const image = loadScript(
        `export default { async fetch(request) { if (request.method === 'GET') return new Response('ok'); ${body} } }`,
        { memoryBytesMax: 16 * MIB },
      )
      const limits = { ...LIMITS, cpuTimeMs: reason === 'CPU_TIME' ? 100 : 20_000 }
      await assert.rejects(askScript(image, { method: 'POST', limits }), { reason, message })
      assert.equal((await askScript(image)).answer?.body, 'ok')
    })
  }

  test('says where it threw', async () => {
    const image = loadScript(`export default {\n  fetch() {\n    null.x\n  }\n}`)
    await assert.rejects(askScript(image), (thrown: Error) => {
      assert.match(String(thrown.cause), /at fetch \(function\.js:3:\d+\)/)
      return true
    })
  })

  test('has its lost promises written down', async () => {
    const image = loadScript(
      'export default { fetch() { Promise.reject(new Error("lost")); return new Response("ok") } }',
    )
    const { answer, logged } = await askScript(image)
    assert.equal(answer?.body, 'ok')
    assert.match(logged.join('\n'), /^rejected: Error: lost/)
  })

  test('may not wait for more than its share', async () => {
    const image = loadScript(`export default { fetch() {
      try { for (;;) setTimeout(() => {}, 1e6) } catch (error) { return new Response(String(error)) }
    } }`)
    const { answer } = await askScript(image)
    assert.equal(answer?.body, 'RangeError: too many timers and requests at once')
  })
})
