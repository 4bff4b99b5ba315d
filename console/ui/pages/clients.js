// The busiest clients of the last minutes.
import { html, useMemo, useState } from '../html.js'
import { query } from '../api.js'
import { pace, usePoll } from '../live.js'
import { go, stay } from '../place.js'
import { count, share, span, whole } from '../format.js'
import { Grid, useSorted } from '../parts/grid.js'
import { Choice, Empty, Head, Search, Waiting } from '../parts/parts.js'

export function ClientsPage({ place }) {
  const by = place.query.get('by') || 'requests'
  const poll = usePoll(query('/api/clients', { top: 100, by }), pace.traffic)
  const [sort, setSort] = useState(null)
  const term = (place.query.get('q') || '').trim().toLowerCase()
  const list = (poll.data && poll.data.clients) || []
  const rows = useMemo(() => list.filter((c) => !term || (c.client + ' ' + (c.identity || '')).toLowerCase().includes(term)), [poll.data, term])
  const most = Math.max(1e-9, ...list.map((c) => c.rate || 0))
  const columns = [
    { title: 'Client', width: 'minmax(160px, 1fr)', sort: (c) => c.client, of: (c) => html`<span class="mono">${c.client}</span>` },
    { title: 'Identity', width: 'minmax(120px, 1fr)', sort: (c) => c.identity || '', of: (c) => c.identity || html`<span class="faint">not known</span>` },
    { title: 'Share', width: 'minmax(80px, 1fr)', of: (c) => html`<svg class="bar" width="100%" height="6" aria-hidden="true"><rect width="100%" height="6" rx="3" fill="var(--sunken)"/><rect width=${(100 * (c.rate || 0) / most).toFixed(1) + '%'} height="6" rx="3" fill="var(--s1)"/></svg>` },
    { title: 'Requests/s', width: '92px', num: true, sort: (c) => c.rate, of: (c) => count(c.rate) },
    { title: 'Requests', width: '84px', num: true, sort: (c) => c.requests, of: (c) => whole(c.requests) },
    { title: 'Errors', width: '70px', num: true, sort: (c) => c.errors, of: (c) => (c.errors ? html`<span class="bad">${share(c.errors, c.requests)}</span>` : html`<span class="faint">0 %</span>`) },
    { title: 'Limited', width: '76px', num: true, sort: (c) => c.limited, of: (c) => (c.limited ? html`<span class="warn">${whole(c.limited)}</span>` : html`<span class="faint">0</span>`) },
  ]
  const sorted = useSorted(rows, columns, sort)
  return html`<${Head} title="Clients"><span class="muted" role="status">${poll.data && `counted for ${span(poll.data.seconds)}`}</span>
      <${Choice} label="The most of" value=${by} options=${[['requests', 'Most requests'], ['errors', 'Most errors'], ['limited', 'Most limited']]} onPick=${(v) => stay({ by: v === 'requests' ? '' : v })}/>
      <${Search} label="Filter by address or identity" value=${place.query.get('q') || ''} onInput=${(q) => stay({ q })}/><//>
    <${Waiting} poll=${poll}><div class="page fill"><${Grid} label="Clients" rows=${sorted} columns=${columns} keyOf=${(c) => c.client + '\n' + (c.identity || '')} sort=${sort} onSort=${setSort}
      onOpen=${(c) => go('exchanges', null, { client: c.client })}
      empty=${html`<${Empty} title=${term ? 'No client fits' : 'Nobody has asked yet'}><p>Clients are counted while somebody looks at this page, and for a minute after: the busiest are found with a bounded amount of memory, so their numbers are close estimates.</p><//>`}/></div><//>`
}
