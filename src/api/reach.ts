/** Where a task is reached beside its URLs, as types: ports of the host, and addresses on the node's bridge. */

/** What an instance has, or is going to have, on the node's bridge. */
export interface AddressView {
  readonly ip: string
  /** Of the subnet. */
  readonly prefixBits: number
  readonly mac: string
  /** Under which its neighbours find it, beside the name of the task. */
  readonly hostname: string
}

/** A plain TCP port that the host listens on. */
export interface PublishView {
  readonly address: string
  readonly hostPort: number
  readonly port: number
  /** Why it could not be bound; null when it is. */
  readonly error: string | null
}
