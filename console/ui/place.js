// Where one is: #/page/name?key=value. Everything that a person may want to
// come back to, or to send to a colleague, is in it; no secret is.
import { useEffect, useReducer } from './html.js'

export function parse(hash) {
  const [path, q] = hash.replace(/^#\/?/, '').split('?')
  const parts = path.split('/').map((p) => { try { return decodeURIComponent(p) } catch { return p } })
  return { page: parts[0] || 'map', name: parts.slice(1).join('/') || null, query: new URLSearchParams(q || '') }
}

export function href(page, name, query) {
  let s = '#/' + page
  if (name != null) s += '/' + encodeURIComponent(name)
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query || {})) if (v !== '' && v != null) q.set(k, v)
  const text = q.toString()
  return text ? s + '?' + text : s
}

export const go = (...to) => { location.hash = href(...to) }

// stay changes the query without a step in the history.
export function stay(changes) {
  const p = parse(location.hash)
  const q = Object.fromEntries(p.query)
  for (const [k, v] of Object.entries(changes)) { if (v === '' || v == null) delete q[k]; else q[k] = v }
  history.replaceState(null, '', href(p.page, p.name, q))
  dispatchEvent(new HashChangeEvent('hashchange'))
}

export function usePlace() {
  const [, redraw] = useReducer((n) => n + 1, 0)
  useEffect(() => {
    addEventListener('hashchange', redraw)
    return () => removeEventListener('hashchange', redraw)
  }, [])
  return parse(location.hash)
}

// origin "gopura.yaml:12:5" → the place of that line in the configuration.
export function originPlace(origin) {
  const m = /^(.*?):(\d+)(?::\d+)?$/.exec(origin || '')
  return m ? href('configuration', null, { file: m[1], line: m[2] }) : href('configuration')
}

// brief is an origin without the folder of its file and without the column.
export const brief = (origin) => (origin || '').replace(/^.*\//, '').replace(/^(.*:\d+):\d+$/, '$1')
