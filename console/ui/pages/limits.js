// Limits with their busiest keys, the stores that count them, the caches.
import { html, useState } from '../html.js'
import { send } from '../api.js'
import { pace, refresh, usePoll } from '../live.js'
import { stay } from '../place.js'
import { bytes, share, span, whole } from '../format.js'
import { Confirm, Empty, Facts, Head, Health, Problem, Search, toast, Waiting } from '../parts/parts.js'

// What the parts of a cache are called; others by their own name.
const words = { name: 'Name', size_bytes: 'Room', bytes: 'In use', entries: 'Answers', owner: 'Route', hits: 'Hits', stale: 'Stale', confirmed: 'Confirmed', misses: 'Misses', collapsed: 'Collapsed', bypassed: 'Bypassed', stored: 'Stored' }
const word = (k) => words[k] || k.replaceAll('_', ' ')

export function LimitsPage({ place }) {
  const limits = usePoll('/api/limits', pace.state)
  const stores = usePoll('/api/stores', pace.slow)
  const cache = usePoll('/api/cache', pace.slow)
  const [ask, setAsk] = useState(null)
  const term = (place.query.get('q') || '').toLowerCase()
  const list = (limits.data || []).filter((l) => !term || l.name.toLowerCase().includes(term) || l.top.some((k) => k.key.toLowerCase().includes(term)))
  const reset = async ({ limit, key }) => {
    await send('DELETE', `/api/limits/${encodeURIComponent(limit)}/${encodeURIComponent(key)}`)
    toast(`${key || 'The one key'} begins anew`)
    refresh('/api/limits')
  }
  return html`<${Head} title="Limits and stores"><${Search} label="Filter by limit or key" value=${place.query.get('q') || ''} onInput=${(q) => stay({ q })}/><//>
    <${Waiting} poll=${limits}><div class="page">
      ${list.map((l) => html`<${Limit} key=${l.name} l=${l} reset=${(key) => setAsk({ limit: l.name, key })}/>`)}
      ${list.length === 0 && html`<section class="card"><${Empty} title=${term ? 'No limit fits' : 'No limits in this configuration'}>${!term && html`<p>A limit says how much one client may ask:</p><pre tabindex="0">routes:
  - match: /search
    limit: 10/s per client.ip
    to: search</pre>`}<//></section>`}
      <div class="cols"><${Stores} poll=${stores}/><${Caches} poll=${cache}/></div></div><//>
    ${ask && html`<${Confirm} title="Forget what this key has used?" verb="Reset" act=${() => reset(ask)} onClose=${() => setAsk(null)}><span class="mono">${ask.key || '(one key for all)'}</span> begins anew at ${ask.limit}.<//>`}`
}

function Limit({ l, reset }) {
  return html`<section class="card"><header><h2 class="mono">${l.name}</h2><span class="muted small">${[l.kind && l.kind.replaceAll('_', ' '), l.limit && String(l.limit), l.store && 'in ' + l.store, l.keys != null && whole(l.keys) + (l.keys === 1 ? ' key' : ' keys')].filter(Boolean).join(' · ')}</span></header>
    <div class="body scroll-x" tabindex="0" role="region" aria-label=${'Keys of ' + l.name}>${l.top.length ? html`<table class="plain"><thead><tr><th>Busiest keys</th><th>Left</th><th class="num">Allowed</th><th class="num">Refused</th><th class="num">Full again in</th><th><span class="hidden-text">Acts</span></th></tr></thead>
      <tbody>${l.top.map((k) => html`<tr><td class="mono">${k.key || html`<span class="muted">one for all</span>`}</td><td><span class="left-of"><svg class="bar" width="90" height="6" aria-hidden="true"><rect width="90" height="6" rx="3" fill="var(--line)"/><rect width=${k.limit ? Math.max(0, 90 * k.remaining / k.limit) : 0} height="6" rx="3" fill=${k.remaining > 0 ? 'var(--s1)' : 'var(--bad)'}/></svg><span class="num">${whole(k.remaining)} of ${whole(k.limit)}</span></span></td>
        <td class="num">${whole(k.allowed)}</td><td class=${'num ' + (k.refused ? 'warn' : '')}>${whole(k.refused)}</td><td class="num">${k.reset_after_seconds ? span(Math.max(1, k.reset_after_seconds)) : 'now'}</td><td class="num"><button class="slim" onClick=${() => reset(k.key)} aria-label=${'Reset ' + (k.key || 'the key')}>Reset</button></td></tr>`)}</tbody></table>` : html`<p class="muted">Nobody has used it lately.</p>`}</div></section>`
}

function Stores({ poll }) {
  return html`<section class="card"><header><h2>Stores</h2></header><div class="body"><${Problem} error=${!poll.data && poll.error}/>${(poll.data || []).map((s) => html`<div class="store"><${Health} state=${s.ready ? ['well', s.kind] : ['bad', s.kind + ', not ready']}/>
    <${Facts} of=${Object.entries(s).filter(([k]) => k !== 'kind' && k !== 'ready').map(([k, v]) => [k.replaceAll('_', ' '), typeof v === 'object' ? JSON.stringify(v) : String(v)])}/>${s.kind === 'memory' && html`<p class="muted small">Each replica counts for itself. With <code>store: redis://…</code> they count together.</p>`}</div>`)}</div></section>`
}

function Caches({ poll }) {
  const [url, setUrl] = useState('')
  const [error, setError] = useState(null)
  const c = poll.data
  const purge = async (e) => {
    e.preventDefault()
    setError(null)
    try { const r = await send('POST', '/api/cache/purge', { url }); toast(`${whole(r.purged)} answers forgotten`); refresh('/api/cache') } catch (err) { setError(err) }
  }
  const none = c && (c.storages || []).length === 0
  return html`<section class="card"><header><h2>Caches</h2></header><div class="body stack"><${Problem} error=${!c && poll.error}/>
    ${none && html`<p class="muted">No route keeps answers. The policy <code>cache</code> does, by the rules of RFC 9111.</p>`}
    ${c && (c.storages || []).map((s) => html`<${Facts} of=${Object.entries(s).map(([k, v]) => [word(k), /bytes|size/.test(k) && typeof v === 'number' ? bytes(v) : typeof v === 'object' ? JSON.stringify(v) : typeof v === 'number' ? whole(v) : String(v)])}/>`)}
    ${c && (c.owners || []).length > 0 && html`<div class="scroll-x" tabindex="0" role="region" aria-label="Caches of routes"><table class="plain"><thead><tr>${Object.keys(c.owners[0]).map((k) => html`<th class=${typeof c.owners[0][k] === 'number' ? 'num' : ''}>${word(k)}</th>`)}</tr></thead><tbody>${c.owners.map((o) => html`<tr>${Object.values(o).map((v) => html`<td class=${typeof v === 'number' ? 'num' : ''}>${typeof v === 'number' ? whole(v) : typeof v === 'object' ? JSON.stringify(v) : String(v)}</td>`)}</tr>`)}</tbody></table></div>`}
    ${c && !none && html`<form class="row" onSubmit=${purge}><label class="field grow">Forget the answers of<input class="mono" value=${url} onInput=${(e) => setUrl(e.target.value)} placeholder="https://host/path, https://host/path* or *" required/></label><button>Purge</button></form>`}<${Problem} error=${error}/></div></section>`
}
