// The busiest clients of the last minutes.
import { html, useMemo, useState } from '../html.js'
import { query } from '../api.js'
import { pace, usePoll } from '../live.js'
import { go, href, stay } from '../place.js'
import { count, ms, share, span, whole } from '../format.js'
import { Grid, useSorted } from '../parts/grid.js'
import { Charts, latencyColumns, useSparks, ValueTiles } from '../parts/numbers.js'
import { Choice, Empty, Facts, Head, Search, Waiting } from '../parts/parts.js'

export function ClientsPage({ place }) {
  const by = place.query.get('by') || 'requests'
  const poll = usePoll(query('/api/clients', { top: place.name == null ? 100 : 200, by }), pace.traffic)
  const [sort, setSort] = useState(null)
  const term = (place.query.get('q') || '').trim().toLowerCase()
  const list = (poll.data && poll.data.clients) || []
  const rows = useMemo(() => list.filter((c) => !term || (c.client + ' ' + (c.identity || '')).toLowerCase().includes(term)).map((c) => ({ ...c, v: c })), [poll.data, term])
  const [spark, seen] = useSparks((c) => c.id)
  if (place.name != null) return html`<${Waiting} poll=${poll}><${One} id=${place.name} c=${list.find((c) => c.id === place.name)} seconds=${poll.data && poll.data.seconds}/><//>`
  const most = Math.max(1e-9, ...list.map((c) => c.rate || 0))
  const columns = [
    { title: 'Client', width: 'minmax(120px, 1fr)', sort: (c) => c.client, of: (c) => html`<span class="mono">${c.client}</span>` },
    { title: 'Identity', width: 'minmax(90px, 1fr)', drop: 6, sort: (c) => c.identity || '', of: (c) => c.identity || html`<span class="faint">not known</span>` },
    spark,
    { title: 'Share', width: 'minmax(40px, .6fr)', drop: 1, of: (c) => html`<svg class="bar" width="100%" height="6" aria-hidden="true"><rect width="100%" height="6" rx="3" fill="var(--sunken)"/><rect width=${(100 * (c.rate || 0) / most).toFixed(1) + '%'} height="6" rx="3" fill="var(--s1)"/></svg>` },
    { title: 'Requests/s', width: '88px', drop: 9, num: true, sort: (c) => c.rate, of: (c) => count(c.rate) },
    { title: 'Requests', width: '72px', drop: 3, num: true, sort: (c) => c.requests, of: (c) => whole(c.requests) },
    { title: 'Errors', width: '60px', num: true, sort: (c) => c.errors, of: (c) => (c.errors ? html`<span class="bad">${share(c.errors, c.requests)}</span>` : html`<span class="faint">0 %</span>`) },
    ...latencyColumns,
    { title: 'Limited', width: '62px', drop: 5, num: true, sort: (c) => c.limited, of: (c) => (c.limited ? html`<span class="warn">${whole(c.limited)}</span>` : html`<span class="faint">0</span>`) },
  ]
  const sorted = useSorted(rows, columns, sort)
  return html`<${Head} title="Clients"><span class="muted" role="status">${poll.data && `counted for ${span(poll.data.seconds)}`}</span>
      <${Choice} label="The most of" value=${by} options=${[['requests', 'Most requests'], ['errors', 'Most errors'], ['limited', 'Most limited'], ['p99_ms', 'Slowest']]} onPick=${(v) => stay({ by: v === 'requests' ? '' : v })}/>
      <${Search} label="Filter by address or identity" value=${place.query.get('q') || ''} onInput=${(q) => stay({ q })}/><//>
    <${Waiting} poll=${poll}><div class="page fill"><${Grid} label="Clients" rows=${sorted} columns=${columns} keyOf=${(c) => c.client + '\n' + (c.identity || '')} sort=${sort} onSort=${setSort} onRange=${seen}
      onOpen=${(c) => go('clients', c.id)}
      empty=${html`<${Empty} title=${term ? 'No client fits' : 'Nobody has asked yet'}><p>Clients are counted while somebody looks at this page, and for a minute after: the busiest are found with a bounded amount of memory, so their numbers are close estimates.</p><//>`}/></div><//>`
}

// One client: what it does, as routes and services are shown.
function One({ id, c, seconds }) {
  const [address, ...rest] = id.replace(/^client:/, '').split(' ')
  const identity = rest.join(' ')
  const per = (n) => (c && seconds ? n / Math.max(seconds, 1) : 0)
  const v = c ? { rate: c.rate, errors: per(c.errors), refused: per(c.refused), limited: per(c.limited), p50_ms: c.p50_ms, p95_ms: c.p95_ms, p99_ms: c.p99_ms } : {}
  return html`<${Head} title=${address || 'Client'} crumb=${html`<a href=${href('clients')}>Clients</a>${identity ? ' / ' + identity : ''}`} mono>
      <a class="button" href=${href('exchanges', null, { client: address, identity })}>Watch exchanges</a>
      <a class="button" href=${href('limits')}>Limits</a><//>
    <div class="page"><${ValueTiles} v=${v} latency flight=${false}/><${Charts} id=${id}/>
      <section class="card"><header><h2>In the last minute</h2></header><div class="body">${c ? html`<${Facts} of=${[
        ['Address', html`<span class="mono">${address}</span>`], ['Identity', identity || 'not known'], ['Requests', whole(c.requests)], ['Errors', `${whole(c.errors)} (${share(c.errors, c.requests)})`],
        ['Refused (4xx)', whole(c.refused)], ['Limited', whole(c.limited)], ['Before it was noticed', c.at_most_more ? `at most ${whole(c.at_most_more)} more` : null]]}/>` : html`<p class="muted">Nothing came from it. Clients are counted while somebody looks; the 256 busiest have a place.</p>`}</div></section></div>`
}
