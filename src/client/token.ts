/** The token of the node of this machine, for those who may read its file. */

export { loadToken, rotateToken } from '../api/token.ts'
