/** Steady requests from several clients, until told to stop: what a task sees while it is changed. */

import type { HttpResult, TestNode } from './harness.ts'

const CLIENTS = 8

export interface LoadResult {
  readonly answers: readonly HttpResult[]
  /** Requests that got no answer, or another one than 200. */
  readonly failures: readonly string[]
}

/**
 * Runs `work` under load. The load has begun before it is called, and goes on for a round after it is done.
 *
 * @returns what the clients saw
 */
export async function underLoad(
  node: TestNode,
  task: string,
  work: () => Promise<unknown>,
): Promise<LoadResult> {
  const answers: HttpResult[] = []
  const failures: string[] = []
  const over = new AbortController()
  const ask = async (): Promise<void> => {
    try {
      const answer = await node.get(task)
      answers.push(answer)
      if (answer.status !== 200) failures.push(`${answer.status} ${answer.body}`)
    } catch (error) {
      failures.push(String(error))
    }
  }
  await ask()
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (!over.signal.aborted) await ask()
    await ask()
  })
  try {
    await work()
  } finally {
    over.abort()
    await Promise.all(clients)
  }
  return { answers, failures }
}
