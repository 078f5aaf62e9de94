/** Text from elsewhere, made harmless for a terminal. Colours of our own are the command line's business. */

/**
 * C0 except tab and line feed, DEL and C1: what a terminal acts on. Then the controls that reorder text, with which a
 * line can show something else than it says (Unicode Technical Report 36, 2.5).
 */
// oxlint-disable-next-line eslint/no-control-regex -- control characters are what this is about
const DANGEROUS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Shows each dangerous character as `\x1b` or `\u202e` instead of obeying it. */
export function neutralise(text: string): string {
  return text.replace(DANGEROUS, (character) => {
    const code = character.charCodeAt(0)
    if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`
    return `\\u${code.toString(16)}`
  })
}

/** The same for what is to stay on one line, such as a name. */
export function neutraliseLine(text: string): string {
  return neutralise(text).replaceAll('\n', '\\n')
}
