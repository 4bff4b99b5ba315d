// Lines of the configuration, as they stand in the file.
import { html, useMemo } from '../html.js'
import { usePoll } from '../live.js'
import { brief, originPlace } from '../place.js'

// parts cuts a line of YAML into [kind, text]: enough for the eye.
export function parts(line) {
  const m = /^(\s*(?:- )*)(.*)$/.exec(line)
  let rest = m[2]
  const out = [['', m[1]]]
  const comment = /(^|\s)#.*$/.exec(rest.replace(/"[^"]*"|'[^']*'/g, (q) => '_'.repeat(q.length)))
  let tail = ''
  if (comment) { tail = rest.slice(comment.index); rest = rest.slice(0, comment.index) }
  const key = /^("[^"]*"|'[^']*'|[^\s:{}\[\],"'#][^:{}\[\],#"']*)(:)(?=\s|$)/.exec(rest)
  if (key) { out.push(['key', key[1]], ['dim', ':']); rest = rest.slice(key[0].length) }
  for (const piece of rest.split(/("[^"]*"|'[^']*'|[{}\[\],]|[\w.-]+:(?=\s))/)) {
    if (!piece) continue
    const c = piece[0]
    out.push([c === '"' || c === "'" ? 'text' : /^[{}\[\],]$/.test(piece) ? 'dim' : /^[\w.-]+:$/.test(piece) ? 'key' : '', piece])
  }
  if (tail) out.push(['note', tail])
  return out
}

export const Line = ({ text }) => parts(text).map(([kind, t]) => (kind ? html`<span class=${'y-' + kind}>${t}</span>` : t))

// excerptOf returns [number, text] of the item that begins at a line: up to the
// next that is not deeper, with the comment above it.
export function excerptOf(lines, at, most = 40) {
  const depth = (s) => s.search(/\S/)
  const first = lines[at - 1]
  if (first == null) return []
  const own = depth(first)
  let end = at
  while (end < lines.length && end - at < most && (lines[end].trim() === '' || depth(lines[end]) > own)) end++
  while (end > at && (lines[end - 1].trim() === '' || lines[end - 1].trim().startsWith('#'))) end--
  let start = at - 1
  while (start > 0 && lines[start - 1].trim().startsWith('#')) start--
  return lines.slice(start, end).map((t, i) => [start + i + 1, t.slice(Math.min(own, Math.max(0, depth(t))))])
}

// Excerpt shows what the configuration says at an origin "file:line:col".
export function Excerpt({ origin }) {
  const poll = usePoll('/api/configuration', 30000)
  const m = /^(.*?):(\d+)/.exec(origin || '')
  const lines = useMemo(() => {
    const file = m && poll.data && poll.data.texts.find((t) => t.name === m[1])
    return file ? excerptOf(file.text.split('\n'), +m[2]) : []
  }, [poll.data, origin])
  if (!m) return null
  return html`<section class="card"><header><h2>As configured</h2><a class="mono" href=${originPlace(origin)}>${brief(origin)}</a></header>
    <div class="body">${lines.length ? html`<pre class="source" tabindex="0" aria-label="Lines of the configuration">${lines.map(([n, t]) => html`<div><span class="no">${n}</span><code><${Line} text=${t}/></code></div>`)}</pre>` : html`<p class="muted">${poll.error ? poll.error.detail : poll.data ? 'The file is not at hand.' : ''}</p>`}</div></section>`
}
