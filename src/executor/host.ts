/** The host functions of core modules: what the other parts of the executor may use of them. */

export { type HostBinding, prepareHost } from './host/bind.ts'
export { type Answer, HostSession } from './host/session.ts'
export { isSpecial, openSpecial } from './host/special-files.ts'
