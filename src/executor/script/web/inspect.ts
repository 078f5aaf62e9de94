/** Values as `console.log` writes them, close to how Node.js does. Runs in the engine. */

import { isIterable, pairsOf, textOf } from './convert.ts'

/** Arguments of `console.log`: the first may be a format. */
export function formatLog(args: readonly unknown[]): string {
  const [first, ...rest] = args
  if (typeof first !== 'string' || !first.includes('%')) {
    return args.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' ')
  }
  const text = first.replace(/%[sdifjoOc%]/g, (directive) => {
    if (directive === '%%') return '%'
    if (rest.length === 0) return directive
    const value = rest.shift()
    switch (directive) {
      case '%s':
        return typeof value === 'string' ? value : inspect(value, 1)
      case '%d':
      case '%f':
        return String(Number(value))
      case '%i':
        return String(Math.trunc(Number(value)))
      case '%j':
        return JSON.stringify(value) ?? 'undefined'
      case '%c':
        return ''
      default:
        return inspect(value)
    }
  })
  return [text, ...rest.map((value) => (typeof value === 'string' ? value : inspect(value)))].join(
    ' ',
  )
}

/** @param depth  of objects inside each other; deeper ones are named only */
export function inspect(value: unknown, depth = 3, parents: readonly object[] = []): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Object.is(value, -0)) return '-0'
  if (typeof value === 'function') {
    const isClass = Function.prototype.toString.call(value).startsWith('class')
    return `[${isClass ? 'class' : 'Function'}${value.name === '' ? ' (anonymous)' : `: ${value.name}`}]`
  }
  if (typeof value !== 'object' || value === null) return String(value)
  if (parents.includes(value)) return '[Circular]'
  const plain = inspectAtom(value)
  if (plain !== undefined) return plain
  const name = value.constructor?.name ?? '[Object: null prototype]'
  if (parents.length > depth) return `[${name}]`
  return inspectFields(value, name, (one) => inspect(one, depth, [...parents, value]))
}

export function quote(text: string): string {
  if (!text.includes("'")) return `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')}'`
  return JSON.stringify(text)
}

export function objectTag(value: object): string {
  return Object.prototype.toString.call(value)
}

/** Objects that are shown as a whole. */
export function inspectAtom(value: object): string | undefined {
  if (value instanceof Error) {
    const own = Object.entries(value).filter(([key]) => key !== 'cause')
    const cause = value.cause === undefined ? '' : `\n  [cause]: ${inspect(value.cause, 1)}`
    return `${describeError(value)}${own.length === 0 ? '' : ` ${inspect(Object.fromEntries(own), 1)}`}${cause}`
  }
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof RegExp) return String(value)
  if (value instanceof Promise) return 'Promise {}'
  if (value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    return `${value.constructor.name} {}`
  }
  if (value instanceof ArrayBuffer) return `ArrayBuffer { byteLength: ${value.byteLength} }`
  const [, boxed] = /^\[object (Number|String|Boolean)\]$/.exec(objectTag(value)) ?? []
  if (boxed !== undefined) return `[${boxed}: ${inspect(value.valueOf())}]`
  return objectTag(value) === '[object URL]' ? `URL ${quote(textOf(value))}` : undefined
}

export function inspectFields(
  value: object,
  name: string,
  show: (value: unknown) => string,
): string {
  if (Array.isArray(value)) return layOut('', '[', listItems(value, show), ']')
  if (ArrayBuffer.isView(value) && isIterable(value)) {
    const items = [...value]
    return layOut(`${name}(${items.length}) `, '[', listItems(items, show), ']')
  }
  const own = Object.entries(value).map(([key, one]) => {
    return `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : quote(key)}: ${show(one)}`
  })
  if (value instanceof Map) {
    const entries = [...value].map(([key, one]) => `${show(key)} => ${show(one)}`)
    return layOut(`Map(${value.size}) `, '{', [...entries, ...own], '}')
  }
  if (value instanceof Set) {
    const items = [...value].map((one) => show(one))
    return layOut(`Set(${value.size}) `, '{', [...items, ...own], '}')
  }
  if (/^\[object (?:Headers|URLSearchParams)\]$/.test(objectTag(value))) {
    const pairs = pairsOf(value).map(([key, one]) => `${quote(textOf(key))}: ${show(one)}`)
    return layOut(`${name} `, '{', pairs, '}')
  }
  return layOut(name === 'Object' ? '' : `${name} `, '{', own, '}')
}

export function listItems(items: readonly unknown[], show: (value: unknown) => string): string[] {
  const shown = Array.from(items.slice(0, 100), show)
  if (items.length > 100) shown.push(`... ${items.length - 100} more items`)
  return shown
}

/** On one line where it is short. */
export function layOut(
  prefix: string,
  open: string,
  fields: readonly string[],
  close: string,
): string {
  if (fields.length === 0) return `${prefix}${open}${close}`
  const line = fields.join(', ')
  if (line.length <= 72 && !line.includes('\n')) return `${prefix}${open} ${line} ${close}`
  const indented = fields.map((field) => `  ${field.replaceAll('\n', '\n  ')}`)
  return `${prefix}${open}\n${indented.join(',\n')}\n${close}`
}

/** Name, message and where it was thrown. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return `Uncaught ${inspect(error)}`
  const { name, message, stack = '' } = error
  const head = message === '' ? name : `${name}: ${message}`
  const trace = stack.split('\n').filter((line) => line.trim() !== '' && !line.includes('(quiver:'))
  return [head, ...trace].join('\n')
}
