// What a page does in the tests of protocols: calls by the published clients of
// gRPC-Web and Connect, WebSockets, event streams. Bundled by protocols.js.
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { base64Decode } from '@bufbuild/protobuf/wire'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web'

const transports = {
  'grpc-web': (baseUrl) => createGrpcWebTransport({ baseUrl }),
  connect: (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
  'connect-json': (baseUrl) => createConnectTransport({ baseUrl }),
}

// call makes one call and returns all that a page can know of it.
window.call = async ({ descriptors, protocol, base, method, message, outcome, timeoutMs, cancelAfter }) => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, base64Decode(descriptors)))
  const client = createClient(registry.getService('grpc.testing.TestService'), transports[protocol](base))
  const told = { messages: [] }
  const abort = new AbortController()
  if (cancelAfter) setTimeout(() => abort.abort(), cancelAfter)
  const options = {
    headers: outcome ? { 'x-outcome': outcome } : {}, timeoutMs, signal: abort.signal,
    onHeader: (h) => { told.head = h.get('x-head') },
    onTrailer: (h) => { told.tail = h.get('x-tail') },
  }
  try {
    if (method === 'streamingOutputCall') {
      for await (const m of client[method](message, options)) told.messages.push(m.payload.body.length)
    } else {
      told.messages.push((await client[method](message, options)).payload.body.length)
    }
  } catch (err) {
    const e = ConnectError.from(err)
    told.code = Code[e.code]
    told.message = e.rawMessage
    told.details = e.details.map((d) => d.type)
    told.tail = told.tail || e.metadata.get('x-tail')
  }
  return told
}

// socket opens a WebSocket, says things, and returns what it heard until the end.
window.socket = ({ url, protocols, say, closeAfter }) => new Promise((resolve) => {
  const heard = []
  const ws = new WebSocket(url, protocols || [])
  ws.onopen = () => say.forEach((m) => ws.send(typeof m === 'number' ? new Uint8Array(m) : m))
  ws.onmessage = (e) => {
    heard.push(typeof e.data === 'string' ? e.data : e.data.size)
    if (heard.length === closeAfter) ws.close(1000, 'enough')
  }
  ws.onclose = (e) => resolve({ heard, code: e.code, reason: e.reason, clean: e.wasClean, protocol: ws.protocol })
})

// events listens until so many have come.
window.events = ({ url, count }) => new Promise((resolve, reject) => {
  const heard = []
  let opened = 0
  const es = new EventSource(url)
  es.onopen = () => { opened++ }
  es.onmessage = (e) => {
    heard.push(e.lastEventId + '=' + e.data)
    if (heard.length === count) {
      es.close()
      resolve({ heard, opened })
    }
  }
  es.onerror = () => { if (es.readyState === EventSource.CLOSED) reject(new Error('the stream is closed for good')) }
})
