import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { fakeHost, type FakeHostOptions } from '../../../tests/fixtures/guest-host.ts'
import { GUEST_ERROR, GUEST_FUNCTIONS } from '../../guest/functions.ts'
import { trapReason } from '../trap.ts'

import { prepareHost } from './bind.ts'
import { HostSession } from './session.ts'

const PAGE = 65_536
/** Where results go; arguments stand below. */
const INTO = 4096
const CAPACITY = 512

const binding = prepareHost(GUEST_FUNCTIONS, [])

/** A guest whose code is the test: it has a memory, and calls host functions with strings and numbers. */
class TestGuest {
  readonly memory = new WebAssembly.Memory({ initial: 1, maximum: 2 })
  readonly host
  readonly session
  readonly #imports
  #at = 0

  constructor(options: FakeHostOptions = {}) {
    this.host = fakeHost(options)
    this.session = new HostSession(this.host)
    this.session.attach(this.memory)
    this.#imports = binding.bind(this.session)
  }

  /** Strings become address and length. */
  call(name: string, ...args: readonly (string | number)[]): unknown {
    return this.#call('quiver', name, args)
  }

  callOld(name: string, ...args: readonly (string | number)[]): unknown {
    return this.#call('my-own-cluster', name, args)
  }

  /** What a function writes to its area; the error when it returns one. */
  text(name: string, ...args: readonly (string | number)[]): unknown {
    const length = this.call(name, ...args, INTO, CAPACITY)
    if (typeof length !== 'number' || length < 0) return length
    return Buffer.from(this.memory.buffer, INTO, length).toString()
  }

  number(name: string, ...args: readonly (string | number)[]): number {
    const result = this.call(name, ...args)
    assert.ok(typeof result === 'number')
    return result
  }

  #call(module: string, name: string, args: readonly (string | number)[]): unknown {
    const run = this.#imports[module]?.[name]
    assert.ok(typeof run === 'function', name)
    const numbers = args.flatMap((arg) => (typeof arg === 'string' ? this.#put(arg) : [arg]))
    this.#at = 0
    return run(...numbers)
  }

  #put(text: string): readonly number[] {
    const bytes = Buffer.from(text)
    const at = this.#at
    new Uint8Array(this.memory.buffer).set(bytes, at)
    this.#at += bytes.length
    return [at, bytes.length]
  }
}

test('each function of the description is there, and no other', () => {
  const bound = binding.bind(new HostSession(fakeHost()))
  for (const { module, name, params } of GUEST_FUNCTIONS) {
    assert.ok(bound[module]?.[name], `${module} ${name}`)
    assert.ok(params.length <= 7, 'more parameters than the wrapper passes on')
  }
  const names = Object.values(bound).flatMap((functions) => Object.keys(functions))
  assert.equal(names.length, GUEST_FUNCTIONS.length)
})

test('only what a module imports is bound', () => {
  const one = prepareHost([{ module: 'quiver', name: 'buffer_size' }], [])
  assert.equal(one.mayWait, false)
  const bound = one.bind(new HostSession(fakeHost()))
  assert.deepEqual(Object.keys(bound), ['quiver'])
  assert.deepEqual(Object.keys(bound['quiver'] ?? {}), ['buffer_size'])
  assert.ok(prepareHost([{ module: 'quiver', name: 'http_fetch' }], []).mayWait)
})

suite('buffers', () => {
  test('the input is the body and the headers of the request', () => {
    const guest = new TestGuest()
    const input = guest.number('buffer_input')
    assert.equal(guest.call('buffer_size', input), 5)
    assert.equal(guest.text('buffer_read', input, 2), 'llo')
    assert.equal(guest.text('buffer_header', input, 'ACCEPT'), 'a/b, c/d')
    assert.equal(
      guest.text('buffer_headers', input),
      'Host: up.localhost\nAccept: a/b\naccept: c/d\n',
    )
  })

  test('the output becomes the answer', () => {
    const guest = new TestGuest()
    const output = guest.number('buffer_output')
    guest.call('buffer_write', output, 'he')
    guest.call('buffer_write', output, 'llo')
    guest.call('buffer_set_status', output, 404)
    guest.call('buffer_set_header', output, 'X-A', '1')
    guest.call('buffer_set_header', output, 'x-a', '2')
    guest.call('buffer_add_header', output, 'Set-Cookie', 'a=b')
    guest.call('buffer_add_header', output, 'Set-Cookie', 'c=d')
    guest.call('buffer_set_header', output, 'Content-Length', '77')
    const { answer } = guest.session
    assert.equal(Buffer.from(answer?.body ?? []).toString(), 'hello')
    assert.equal(answer?.status, 404)
    assert.deepEqual(answer?.rawHeaders, ['x-a', '2', 'Set-Cookie', 'a=b', 'Set-Cookie', 'c=d'])
  })

  test('an output that is only looked at is no answer', () => {
    const guest = new TestGuest()
    assert.equal(guest.call('buffer_size', guest.number('buffer_output')), 0)
    assert.equal(guest.session.answer, null)
  })

  test('what does not fit its area is cut, and its length told', () => {
    const guest = new TestGuest()
    const id = guest.number('buffer_create', 'hello')
    assert.equal(guest.call('buffer_read', id, 0, INTO, 2), 5)
    assert.equal(Buffer.from(guest.memory.buffer, INTO, 4).toString('latin1'), 'he\0\0')
    assert.equal(guest.call('buffer_read', id, 0, 0, 0), 5)
    assert.equal(guest.call('buffer_read', id, 5, INTO, 2), 0)
    assert.equal(guest.call('buffer_read', id, 6, INTO, 2), GUEST_ERROR.INVALID_ARGUMENT)
  })

  test('one that was freed is unknown', () => {
    const guest = new TestGuest()
    const id = guest.number('buffer_create', 'hello')
    assert.equal(guest.call('buffer_free', id), 0)
    assert.equal(guest.call('buffer_size', id), GUEST_ERROR.UNKNOWN_BUFFER)
    assert.equal(guest.call('buffer_free', id), GUEST_ERROR.UNKNOWN_BUFFER)
    assert.equal(
      guest.call('buffer_free', guest.number('buffer_input')),
      GUEST_ERROR.INVALID_ARGUMENT,
    )
  })

  test('a buffer is the guest’s own: writing to the input leaves the request alone', () => {
    const guest = new TestGuest()
    guest.call('buffer_write', guest.number('buffer_input'), '!')
    assert.equal(guest.text('buffer_read', guest.number('buffer_input'), 0), 'hello!')
    assert.equal(Buffer.from(guest.host.inputs[0] ?? []).toString(), 'hello')
  })

  const invalid = [
    ['a line break', 'X-A', 'a\r\nX-B: b'],
    ['a NUL', 'X-A', 'a\0'],
    ['a space in the name', 'X A', 'a'],
    ['no name', '', 'a'],
  ] as const
  for (const [what, name, value] of invalid) {
    test(`a header with ${what} is refused`, () => {
      const guest = new TestGuest()
      const output = guest.number('buffer_output')
      assert.equal(
        guest.call('buffer_set_header', output, name, value),
        GUEST_ERROR.INVALID_ARGUMENT,
      )
      assert.equal(guest.session.answer, null)
    })
  }

  test('headers have an end', () => {
    const guest = new TestGuest({ limits: { callsPerSecondMax: 1e6 } })
    const output = guest.number('buffer_output')
    const results = Array.from({ length: 200 }, (_, index) =>
      guest.call('buffer_add_header', output, `x-${index}`, 'a'),
    )
    assert.equal(results.filter((result) => result === 0).length, 128)
    assert.equal(results.at(-1), GUEST_ERROR.TOO_LARGE)
  })
})

suite('facts', () => {
  const facts = [
    ['request_method', [], 'POST'],
    ['request_path', [], '/users/7'],
    ['request_query_string', [], 'who=caf%C3%A9&empty='],
    ['request_param', ['id'], '7'],
    ['request_param', ['name'], GUEST_ERROR.NOT_FOUND],
    ['request_query', ['who'], 'café'],
    ['request_query', ['empty'], ''],
    ['request_query', ['none'], GUEST_ERROR.NOT_FOUND],
    ['request_header', ['host'], 'up.localhost'],
    ['request_header', ['cookie'], GUEST_ERROR.NOT_FOUND],
    ['base64_encode', ['hello?>'], 'aGVsbG8/Pg=='],
    ['base64_decode', ['aGVs\nbG8/Pg=='], 'hello?>'],
    ['base64_decode', ['aGVsbG8'], GUEST_ERROR.INVALID_ARGUMENT],
    ['base64_decode', ['$$$$'], GUEST_ERROR.INVALID_ARGUMENT],
  ] as const
  for (const [name, args, expected] of facts) {
    test(`${name}(${args.join(', ')})`, () => {
      assert.equal(new TestGuest().text(name, ...args), expected)
    })
  }

  test('clocks go on', () => {
    const guest = new TestGuest()
    const [before, after] = [guest.call('time_monotonic'), guest.call('time_monotonic')]
    assert.ok(typeof before === 'bigint' && typeof after === 'bigint' && after >= before)
    const now = guest.call('time_realtime')
    assert.ok(typeof now === 'bigint' && now > 1_700_000_000_000_000_000n)
  })

  test('a message is logged with its level, and cut when it is long', () => {
    const guest = new TestGuest()
    guest.call('log', 3, 'broken')
    guest.call('log', 99, 'odd')
    guest.call('log', 0, 'x'.repeat(20_000))
    assert.deepEqual(guest.host.logged.slice(0, 2), [
      ['error', 'broken'],
      ['info', 'odd'],
    ])
    assert.equal(guest.host.logged[2]?.[1].length, 16 * 1024 + 1)
  })
})

suite('my-own-cluster', () => {
  test('its buffers work as they did there', () => {
    const guest = new TestGuest()
    assert.equal(guest.callOld('test'), 0)
    const id = guest.callOld('register_buffer', 'hello')
    assert.ok(typeof id === 'number')
    assert.equal(guest.callOld('get_buffer_size', id), 5)
    assert.equal(guest.callOld('get_buffer', id, INTO, 4), 0)
    assert.equal(guest.callOld('get_buffer', id, INTO, 5), 5)
    assert.equal(Buffer.from(guest.memory.buffer, INTO, 5).toString(), 'hello')
    assert.equal(guest.callOld('write_buffer', id, '!'), 1)
    assert.equal(guest.callOld('get_buffer_size', id), 6)
    assert.equal(guest.callOld('write_buffer_header', id, 'a', 'b'), 1)
    assert.equal(guest.callOld('free_buffer', id), 0)
    assert.equal(guest.callOld('get_buffer_size', id), 0)
    assert.equal(guest.callOld('write_buffer', id, '!'), 0)
    assert.equal(guest.callOld('write_buffer_header', id, 'a', 'b'), 0)
    assert.equal(guest.callOld('print_debug', 'hi'), 2)
    assert.deepEqual(guest.host.logged, [['debug', 'hi']])
    assert.equal(guest.callOld('get_input_buffer_id'), guest.call('buffer_input'))
    assert.equal(guest.callOld('get_output_buffer_id'), guest.call('buffer_output'))
  })
})

suite('a guest is ended', () => {
  const ends: readonly (readonly [
    what: string,
    reason: string,
    run: (guest: TestGuest) => void,
  ])[] = [
    ['a bad address', 'BAD_ADDRESS', (guest) => guest.call('buffer_create', PAGE - 4, 5)],
    ['a negative address', 'BAD_ADDRESS', (guest) => guest.call('buffer_create', -1, 2)],
    ['an area at the end', 'BAD_ADDRESS', (guest) => guest.call('request_path', PAGE - 1, 2)],
    [
      'too many buffers',
      'TOO_MANY_BUFFERS',
      (guest) => {
        for (;;) guest.call('buffer_create', 'a')
      },
    ],
    [
      'too many bytes in buffers',
      'BUFFERS_TOO_LARGE',
      (guest) => {
        const id = guest.number('buffer_create', 0, PAGE)
        for (;;) guest.call('buffer_write', id, 0, PAGE)
      },
    ],
    [
      'too long an answer',
      'OUTPUT_TOO_LARGE',
      (guest) => {
        for (;;) guest.call('buffer_write', guest.number('buffer_output'), 0, 1000)
      },
    ],
    [
      'too many calls',
      'HOST_CALLS',
      (guest) => {
        for (;;) guest.call('buffer_input')
      },
    ],
  ]
  for (const [what, reason, run] of ends) {
    test(`by ${what}`, () => {
      const guest = new TestGuest()
      assert.throws(
        () => run(guest),
        (thrown) => trapReason(thrown)?.reason === reason,
      )
      assert.equal(guest.session.failure?.reason, reason)
      assert.throws(() => guest.call('buffer_input'), WebAssembly.RuntimeError)
    })
  }

  test('and grown memory is no bad address', () => {
    const guest = new TestGuest()
    assert.ok(typeof guest.call('buffer_create', 'a') === 'number')
    guest.memory.grow(1)
    assert.ok(typeof guest.call('buffer_create', PAGE, 16) === 'number')
  })
})
