/**
 * Every call of the control API: its path, and the types of what goes in and comes out. Server, client and the OpenAPI
 * document are made from this one table. It is plain data, so that the client stays light; validation is in `schemas.ts`.
 */

import type { Readable } from 'node:stream'

import type { Digest } from '../core/digest.ts'
import type { BinaryConfig, ImageConfig } from '../images/images.ts'

import type {
  BinaryDetail,
  BinaryView,
  ConfigView,
  CoreView,
  DeployDifference,
  DeployRequest,
  DeployResult,
  EventQuery,
  EventView,
  GarbageView,
  HealthView,
  ImageDetail,
  ImageView,
  InstanceView,
  InvokeRequest,
  InvokeResult,
  LogQuery,
  LogRecord,
  NodeView,
  RunRequest,
  RunResult,
  ServiceView,
  SnippetRequest,
  SnippetResult,
  TaskDetail,
  TaskView,
  TopView,
} from './resources.ts'

/**
 * What an answer is: one JSON value; `lines`: JSON values, one a line, possibly without end; `text`; `session`: the
 * connection is upgraded and carries frames (`stdio.ts`). An `upload` takes bytes and answers JSON, a `download` answers bytes.
 */
export type EndpointKind = 'json' | 'lines' | 'text' | 'session' | 'upload' | 'download'

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Parameters are `:name`. */
  readonly path: string
  readonly kind: EndpointKind
  readonly noun: 'task' | 'service' | 'instance' | 'image' | 'binary' | 'node'
  readonly summary: string
}

const json = (noun: Endpoint['noun'], method: Endpoint['method'], path: string, summary: string) =>
  ({ kind: 'json', noun, method, path, summary }) as const satisfies Endpoint

export const ENDPOINTS = {
  listTasks: json('task', 'GET', '/v1/tasks', 'List tasks'),
  deploy: json('task', 'POST', '/v1/tasks', 'Deploy an image as a new revision of a task'),
  difference: json('task', 'POST', '/v1/difference', 'Say what a deployment would change'),
  getTask: json('task', 'GET', '/v1/tasks/:name', 'Describe a task'),
  removeTask: json('task', 'DELETE', '/v1/tasks/:name', 'Remove a task'),
  promote: json('task', 'POST', '/v1/tasks/:name/promote', 'Give the newest revision all traffic'),
  rollback: json(
    'task',
    'POST',
    '/v1/tasks/:name/rollback',
    'Give an earlier revision all traffic',
  ),
  scale: json('task', 'POST', '/v1/tasks/:name/scale', 'Fix the number of instances, or free it'),
  stopTask: json('task', 'POST', '/v1/tasks/:name/stop', 'Stop a task until it is started'),
  startTask: json('task', 'POST', '/v1/tasks/:name/start', 'Start a stopped task'),
  restartTask: json('task', 'POST', '/v1/tasks/:name/restart', 'Replace the instances of a task'),

  listServices: json('service', 'GET', '/v1/services', 'List where tasks are reached'),
  getService: json('service', 'GET', '/v1/services/:name', 'Look up where a task is reached'),

  listInstances: json('instance', 'GET', '/v1/instances', 'List instances'),
  getInstance: json('instance', 'GET', '/v1/instances/:id', 'Describe an instance'),
  signalInstance: json('instance', 'POST', '/v1/instances/:id/signal', 'Send a signal'),
  invoke: json(
    'instance',
    'POST',
    '/v1/tasks/:name/invoke',
    'Call an export of a WebAssembly module',
  ),
  createRun: json('instance', 'POST', '/v1/runs', 'Prepare one execution of an image'),
  runSnippet: json('instance', 'POST', '/v1/snippets', 'Run untrusted JavaScript once, to its end'),
  logs: {
    kind: 'lines',
    noun: 'instance',
    method: 'GET',
    path: '/v1/logs/:target',
    summary: 'Read the log of a task or instance',
  },
  session: {
    kind: 'session',
    noun: 'instance',
    method: 'GET',
    path: '/v1/sessions/:target',
    summary: 'Attach to a program or execute another one beside it; upgrades to quiver-stdio',
  },

  listCores: json('instance', 'GET', '/v1/cores', 'List core dumps'),
  readCore: {
    kind: 'download',
    noun: 'instance',
    method: 'GET',
    path: '/v1/cores/:task/:number',
    summary: 'Read a core dump',
  },
  removeCore: json('instance', 'DELETE', '/v1/cores/:task/:number', 'Remove a core dump'),

  missing: json('image', 'POST', '/v1/missing', 'Say which files are not stored yet'),
  putFile: {
    kind: 'upload',
    noun: 'image',
    method: 'PUT',
    path: '/v1/files/:digest',
    summary: 'Store a file',
  },
  putImage: json('image', 'POST', '/v1/images', 'Store an image whose files are stored'),
  listImages: json('image', 'GET', '/v1/images', 'List images'),
  getImage: json('image', 'GET', '/v1/images/:reference', 'Inspect an image'),
  removeImage: json('image', 'DELETE', '/v1/images/:reference', 'Remove an image'),
  collectGarbage: json('image', 'POST', '/v1/garbage', 'Remove files that nothing refers to'),

  putBinary: json('binary', 'POST', '/v1/binaries', 'Store a binary whose files are stored'),
  resolveBinary: json('binary', 'POST', '/v1/resolve', 'Find or import the binary of a runtime'),
  listBinaries: json('binary', 'GET', '/v1/binaries', 'List binaries'),
  getBinary: json('binary', 'GET', '/v1/binaries/:reference', 'Inspect a binary'),
  removeBinary: json('binary', 'DELETE', '/v1/binaries/:reference', 'Remove a binary'),

  health: json('node', 'GET', '/v1/health', 'Health of the node'),
  node: json('node', 'GET', '/v1/node', 'What the node is'),
  configuration: json(
    'node',
    'GET',
    '/v1/configuration',
    'Effective configuration and its sources',
  ),
  top: json('node', 'GET', '/v1/top', 'What instances use now'),
  metrics: {
    kind: 'text',
    noun: 'node',
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics in the text format of Prometheus',
  },
  events: {
    kind: 'lines',
    noun: 'node',
    method: 'GET',
    path: '/v1/events',
    summary: 'What happened, and what happens',
  },
} as const satisfies Record<string, Endpoint>

export type EndpointId = keyof typeof ENDPOINTS

interface Named {
  readonly name: string
}
interface NumberedCore {
  readonly task: string
  readonly number: number
}
interface Referenced {
  readonly reference: string
}

/** For each endpoint: parameters of its path, query, body, and what comes out (of `lines`: each line). */
export interface Calls {
  listTasks: { output: readonly TaskView[] }
  deploy: { body: DeployRequest; output: DeployResult }
  difference: { body: DeployRequest; output: DeployDifference }
  getTask: { params: Named; output: TaskDetail }
  removeTask: { params: Named; output: null }
  promote: { params: Named; output: TaskDetail }
  rollback: { params: Named; body: { readonly revision: number | null }; output: TaskDetail }
  scale: { params: Named; body: { readonly instances: number | null }; output: TaskDetail }
  stopTask: { params: Named; output: TaskDetail }
  startTask: { params: Named; output: TaskDetail }
  restartTask: { params: Named; output: TaskDetail }
  listServices: { output: readonly ServiceView[] }
  getService: {
    params: Named
    query: { readonly waitMs?: number | undefined }
    output: ServiceView
  }
  listInstances: {
    query: { readonly task?: string | undefined }
    output: readonly InstanceView[]
  }
  getInstance: { params: { readonly id: string }; output: InstanceView }
  signalInstance: {
    params: { readonly id: string }
    body: { readonly signal: number }
    output: null
  }
  invoke: { params: Named; body: InvokeRequest; output: InvokeResult }
  createRun: { body: RunRequest; output: RunResult }
  runSnippet: { body: SnippetRequest; output: SnippetResult }
  logs: { params: { readonly target: string }; query: LogQuery; output: LogRecord }
  session: { params: { readonly target: string }; output: null }
  listCores: { query: { readonly task?: string | undefined }; output: readonly CoreView[] }
  readCore: { params: NumberedCore; output: Readable }
  removeCore: { params: NumberedCore; output: null }
  missing: { body: { readonly digests: readonly Digest[] }; output: readonly Digest[] }
  putFile: {
    params: { readonly digest: Digest }
    output: { readonly digest: Digest; readonly bytes: number }
  }
  putImage: { body: ImageConfig; output: ImageView }
  listImages: { output: readonly ImageView[] }
  getImage: { params: Referenced; output: ImageDetail }
  removeImage: { params: Referenced; output: null }
  collectGarbage: { output: GarbageView }
  putBinary: { body: BinaryConfig; output: BinaryView }
  resolveBinary: {
    body: Referenced & { readonly isFresh?: boolean | undefined }
    output: BinaryDetail
  }
  listBinaries: { output: readonly BinaryView[] }
  getBinary: { params: Referenced; output: BinaryDetail }
  removeBinary: { params: Referenced; output: null }
  health: { output: HealthView }
  node: { output: NodeView }
  configuration: { output: ConfigView }
  top: { output: TopView }
  metrics: { output: string }
  events: { query: EventQuery; output: EventView }
}

/** What goes into a call: only the parts that it has. */
export type Input<I extends EndpointId> = Omit<Calls[I], 'output'>
export type Output<I extends EndpointId> = Calls[I]['output']
