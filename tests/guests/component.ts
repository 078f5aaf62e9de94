/** Makes a component of a core module: component.ts proxy|command CORE TARGET. Installs the toolchain if that is allowed. */

import { makeComponent, requireToolchains } from '../fixtures/component-toolchains.ts'

const [world, core = '', target = ''] = process.argv.slice(2)
if (world !== 'proxy' && world !== 'command') throw new Error(`there is no world "${world}"`)
const missing = await requireToolchains()
if (missing !== undefined) throw new Error(missing)
await makeComponent(world, core, target)
