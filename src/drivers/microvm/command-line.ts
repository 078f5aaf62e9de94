/** What the kernel of a guest is told. It prints what goes wrong with it, and ends the machine then. Pure. */

import type { Accelerator } from './machine.ts'

/** The timers of its processors count at this rate, and no guest need find out. */
const TIMER_HZ = 1_000_000_000

/** @param ticksPerMs  of the host's time stamp counter, which is an emulated guest's too; null: it has to find out itself */
export function buildCommandLine(accelerator: Accelerator, ticksPerMs: number | null): string {
  const emulated = [
    'no_timer_check',
    ...(ticksPerMs === null ? [] : [`tsc_early_khz=${ticksPerMs}`]),
  ]
  return [
    `console=ttyS0 quiet panic=-1 reboot=t lapic_timer_hz=${TIMER_HZ}`,
    ...(accelerator === 'emulation' ? emulated : []),
  ].join(' ')
}
