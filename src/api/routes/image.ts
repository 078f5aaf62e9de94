/** Routes of images, binaries and the files they are made of. */

import type { Handlers } from './handler.ts'

export const imageHandlers: Handlers<
  | 'missing'
  | 'putFile'
  | 'putImage'
  | 'listImages'
  | 'getImage'
  | 'removeImage'
  | 'collectGarbage'
  | 'putBinary'
  | 'resolveBinary'
  | 'listBinaries'
  | 'getBinary'
  | 'removeBinary'
> = {
  missing: (service, { body }) => service.missing(body.digests),
  putFile: (service, { params, content }) => service.putFile(params.digest, content),
  putImage: (service, { body }) => service.putImage(body),
  listImages: (service) => service.listImages(),
  getImage: (service, { params }) => service.getImage(params.reference),
  removeImage: async (service, { params }) => {
    await service.removeImage(params.reference)
    return null
  },
  collectGarbage: (service) => service.collectGarbage(),
  putBinary: (service, { body }) => service.putBinary(body),
  resolveBinary: (service, { body }) =>
    service.resolveBinary(body.reference, body.isFresh === true),
  listBinaries: (service) => service.listBinaries(),
  getBinary: (service, { params }) => service.getBinary(params.reference),
  removeBinary: async (service, { params }) => {
    await service.removeBinary(params.reference)
    return null
  },
}
