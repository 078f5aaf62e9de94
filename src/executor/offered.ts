/** What a module may import here: WASI preview 1 under both its names, and the host functions. */

import { GUEST_FUNCTIONS } from '../guest/functions.ts'

import type { FunctionType } from './facts.ts'
import type { Offered } from './module.ts'
import { INTERFACE_NAMES } from './wasi02/names.ts'

/** Parameters of each function, `i` for i32 and `I` for i64; all return an error number but `proc_exit`. */
const WASI: Readonly<Record<string, string>> = {
  args_get: 'ii',
  args_sizes_get: 'ii',
  clock_res_get: 'ii',
  clock_time_get: 'iIi',
  environ_get: 'ii',
  environ_sizes_get: 'ii',
  fd_advise: 'iIIi',
  fd_allocate: 'iII',
  fd_close: 'i',
  fd_datasync: 'i',
  fd_fdstat_get: 'ii',
  fd_fdstat_set_flags: 'ii',
  fd_fdstat_set_rights: 'iII',
  fd_filestat_get: 'ii',
  fd_filestat_set_size: 'iI',
  fd_filestat_set_times: 'iIIi',
  fd_pread: 'iiiIi',
  fd_prestat_dir_name: 'iii',
  fd_prestat_get: 'ii',
  fd_pwrite: 'iiiIi',
  fd_read: 'iiii',
  fd_readdir: 'iiiIi',
  fd_renumber: 'ii',
  fd_seek: 'iIii',
  fd_sync: 'i',
  fd_tell: 'ii',
  fd_write: 'iiii',
  path_create_directory: 'iii',
  path_filestat_get: 'iiiii',
  path_filestat_set_times: 'iiiiIIi',
  path_link: 'iiiiiii',
  path_open: 'iiiiiIIii',
  path_readlink: 'iiiiii',
  path_remove_directory: 'iii',
  path_rename: 'iiiiii',
  path_symlink: 'iiiii',
  path_unlink_file: 'iii',
  poll_oneoff: 'iiii',
  proc_exit: 'i',
  proc_raise: 'i',
  random_get: 'ii',
  sched_yield: '',
  sock_accept: 'iii',
  sock_recv: 'iiiiii',
  sock_send: 'iiiii',
  sock_shutdown: 'ii',
}

const wasi = new Map(Object.entries(WASI).map(([name, params]) => [name, wasiType(name, params)]))

export const OFFERED: Offered = {
  modules: new Map([
    ['wasi_snapshot_preview1', wasi],
    // `sock_accept` came with preview 1.
    ['wasi_unstable', new Map([...wasi].filter(([name]) => name !== 'sock_accept'))],
    ...hostModules(),
  ]),
  interfaces: new Set(INTERFACE_NAMES),
}

function hostModules(): readonly (readonly [string, ReadonlyMap<string, FunctionType>])[] {
  const modules = new Map<string, Map<string, FunctionType>>()
  for (const { module, name, params, results } of GUEST_FUNCTIONS) {
    const functions = modules.get(module) ?? new Map<string, FunctionType>()
    modules.set(module, functions.set(name, { params, results }))
  }
  return [...modules]
}

function wasiType(name: string, params: string): FunctionType {
  return {
    params: params.split('').map((letter) => (letter === 'I' ? 'i64' : 'i32')),
    results: name === 'proc_exit' ? [] : ['i32'],
  }
}
