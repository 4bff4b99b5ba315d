// The admin API. Each call carries the token of the session as a header, which
// no other site can make a browser send; there are no cookies.
const tokenKey = 'gopura.token'

export class ApiError extends Error {
  constructor(status, code, detail, problems) {
    super(detail)
    Object.assign(this, { status, code, detail, problems: problems || [] })
  }
}

let token = null
try { token = sessionStorage.getItem(tokenKey) } catch { /* storage is off: the token lives as long as the page */ }

const refused = new Set() // who wants to know that the token is not accepted
let answers = true
const reach = new Set() // who wants to know whether the gateway answers

export const hasToken = () => token != null
export function setToken(value) {
  token = value
  try {
    if (value == null) sessionStorage.removeItem(tokenKey)
    else sessionStorage.setItem(tokenKey, value)
  } catch { /* as above */ }
}
export function onRefused(f) { refused.add(f); return () => refused.delete(f) }
export function onReach(f) { reach.add(f); return () => reach.delete(f) }

function reached(yes) {
  if (answers === yes) return
  answers = yes
  reach.forEach((f) => f(yes))
}

// call sends a request and returns the response, or throws an ApiError.
async function call(method, path, body, signal) {
  const headers = { 'Gopura-Admin': '1' }
  if (token != null) headers.Authorization = 'Bearer ' + token
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  let r
  try {
    r = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: 'no-store', credentials: 'omit', redirect: 'error' })
  } catch (e) {
    if (signal && signal.aborted) throw e
    reached(false)
    throw new ApiError(0, 'unreachable', 'The gateway does not answer. It may be restarting, or the network between is down.')
  }
  reached(true)
  if (r.ok) return r
  let p = {}
  try { p = await r.json() } catch { /* no problem details: the status has to do */ }
  const error = new ApiError(r.status, p.code || 'http_' + r.status, p.detail || `The admin listener answered ${r.status}.`, p.problems)
  if (r.status === 401) refused.forEach((f) => f(error))
  throw error
}

export const get = async (path, signal) => (await call('GET', path, undefined, signal)).json()
export const send = async (method, path, body) => (await call(method, path, body)).json()

// events reads a stream of server-sent events until it ends or signal aborts;
// on is called with (event, data).
export async function events(path, signal, on) {
  const r = await call('GET', path, undefined, signal)
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  on('open')
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    rest += value
    const blocks = rest.split('\n\n')
    rest = blocks.pop()
    for (const block of blocks) {
      let event = 'message', data = ''
      for (const line of block.split('\n')) {
        if (line.startsWith('event:')) event = line.slice(6).trim()
        else if (line.startsWith('data:')) data += line.slice(5).trim()
      }
      if (data) on(event, JSON.parse(data))
    }
  }
}

// query makes the query of a path from what is not empty.
export function query(path, values) {
  const q = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    for (const v of Array.isArray(value) ? value : [value]) if (v !== '' && v != null && v !== false) q.append(name, v)
  }
  const text = q.toString()
  return text ? path + '?' + text : path
}
