/** What the API shows and accepts, for those who use the client. */

export type * from '../api/resources.ts'
