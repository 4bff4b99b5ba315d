// Services: how they do, and one with its targets, which can be drained.
import { html, useMemo, useState } from '../html.js'
import { send } from '../api.js'
import { pace, refresh, usePoll } from '../live.js'
import { go, href, stay } from '../place.js'
import { ago, count, ms, share, whole } from '../format.js'
import { Grid, useSorted } from '../parts/grid.js'
import { Charts, latencyColumns, none, rateColumns, useSparks, ValueTiles } from '../parts/numbers.js'
import { Excerpt } from '../parts/source.js'
import { Confirm, Empty, Facts, Head, Health, Search, serviceState, stateOf, toast, Waiting } from '../parts/parts.js'

export function ServicesPage({ place, snapshot }) {
  const services = usePoll('/api/services', pace.state)
  const traffic = usePoll('/api/traffic', pace.traffic)
  if (place.name != null) return html`<${Waiting} poll=${services}><${One} name=${place.name} services=${services.data} traffic=${traffic.data} generation=${snapshot ? snapshot.generation : 0}/><//>`
  return html`<${List} services=${services} traffic=${traffic.data} place=${place}/>`
}

const rank = { bad: 0, warn: 1, off: 2, well: 3 }

function List({ services, traffic, place }) {
  const [sort, setSort] = useState({ by: 'State' })
  const term = (place.query.get('q') || '').trim().toLowerCase()
  const rows = useMemo(() => (services.data || []).filter((s) => !term || s.name.toLowerCase().includes(term) || s.targets.some((t) => t.url.toLowerCase().includes(term)))
    .map((s) => ({ ...s, state: serviceState(s), v: (traffic && traffic.nodes['service:' + s.name]) || none })), [services.data, traffic, term])
  const [spark, seen] = useSparks((s) => 'service:' + s.name)
  const columns = [
    { title: 'Service', width: 'minmax(110px, 1.4fr)', sort: (s) => s.name, of: (s) => s.name },
    { title: 'State', width: 'minmax(110px, 1fr)', sort: (s) => rank[s.state[0]], of: (s) => html`<${Health} state=${s.state}/>` },
    { title: 'Balance', width: 'minmax(90px, .8fr)', drop: 2, of: (s) => html`<span class="muted">${s.balance.replaceAll('_', ' ')}</span>` },
    spark, { ...rateColumns[0], title: 'Attempts/s' }, { ...rateColumns[1], title: 'Failed' },
    { title: 'Retries', width: '70px', drop: 4, num: true, sort: (s) => s.retries, of: (s) => (s.retries ? whole(s.retries) : html`<span class="faint">0</span>`) },
    { title: 'Turned away', width: '96px', drop: 3, num: true, sort: (s) => s.refused, of: (s) => (s.refused ? html`<span class="warn">${whole(s.refused)}</span>` : html`<span class="faint">0</span>`) },
    { title: 'In flight', width: '70px', drop: 5, num: true, sort: (s) => s.in_flight, of: (s) => whole(s.in_flight) },
  ]
  const sorted = useSorted(rows, columns, sort)
  return html`<${Head} title="Services"><span class="muted" role="status">${services.data && whole(rows.length)}</span>
      <${Search} label="Filter by name or target" value=${place.query.get('q') || ''} onInput=${(q) => stay({ q })}/><//>
    <${Waiting} poll=${services}><div class="page fill"><${Grid} label="Services" rows=${sorted} columns=${columns} keyOf=${(s) => s.name} sort=${sort} onSort=${setSort} onRange=${seen}
      onOpen=${(s) => go('services', s.name)} empty=${html`<${Empty} title=${term ? 'No service fits' : 'No services'}><p>A service is what stands behind the gateway: a name, and targets.</p><//>`}/></div><//>`
}

function One({ name, services, traffic, generation }) {
  const topology = usePoll(generation ? '/api/topology?generation=' + generation : null, 60000)
  const [ask, setAsk] = useState(null)
  const s = services.find((x) => x.name === name)
  const users = useMemo(() => ((topology.data && topology.data.edges) || []).filter((e) => e.to === 'service:' + name && e.from.startsWith('route:')), [topology.data, name])
  if (!s) return html`<${Head} title="Service" crumb=${html`<a href=${href('services')}>Services</a>`}/><div class="page"><${Empty} title="No service is called so"><p><a href=${href('services')}>All services</a></p><//></div>`
  const v = (traffic && traffic.nodes['service:' + name]) || none
  const node = topology.data && topology.data.nodes.find((n) => n.id === 'service:' + name)
  const act = async (target, action) => {
    await send('POST', `/api/services/${encodeURIComponent(name)}/targets`, { target: target.url, action })
    refresh('/api/services')
    toast(action === 'drain' ? `${target.address} gets no new requests` : `${target.address} gets requests again`)
  }
  const enable = (t) => act(t, 'enable').catch((e) => toast(e.detail || e.message, true))
  const others = (t) => s.targets.filter((x) => x !== t && x.status === 'up').length
  return html`<${Head} title=${s.name} crumb=${html`<a href=${href('services')}>Services</a>`}>
      <${Health} state=${serviceState(s)}/><a class="button" href=${href('exchanges', null, { service: name })}>Watch exchanges</a><a class="button" href=${href('map', null, { at: 'service:' + name })}>On the map</a><//>
    <div class="page"><${ValueTiles} v=${{ ...v, in_flight: s.in_flight }} attempts/><${Charts} id=${'service:' + name} latency=${false} attempts/>
      <section class="card"><header><h2>Targets</h2><span class="muted small">${s.balance.replaceAll('_', ' ')}</span></header><div class="body scroll-x" tabindex="0" role="region" aria-label="Targets"><table class="plain targets">
        <thead><tr><th>Target</th><th>State</th><th class="num">Weight</th><th class="num">Attempts/s</th><th class="num">Failed</th><th class="num">p50</th><th class="num">p99</th><th class="num">In flight</th><th class="num">Connections</th><th><span class="hidden-text">Acts</span></th></tr></thead>
        <tbody>${s.targets.map((t) => html`<${Target} key=${t.address} t=${t} v=${(traffic && traffic.nodes[`target:${name}/${t.address}`]) || none} drain=${() => setAsk(t)} enable=${() => enable(t)}/>`)}</tbody></table></div></section>
      <div class="cols">
        <div class="stack">
          <section class="card"><header><h2>Since the service began</h2><span class="muted small">after retries</span></header><div class="body"><${Facts} of=${[
            ['Requests', whole(s.requests)], ['Failures', `${whole(s.failures)} (${share(s.failures, s.requests)})`], ['Retries', whole(s.retries)], ['Retries denied by the budget', s.retries_denied ? whole(s.retries_denied) : null], ['Turned away', whole(s.refused)],
            ['Breaker', s.breaker && html`<${Health} state=${[{ closed: 'well', open: 'bad' }[s.breaker.phase] || 'warn', s.breaker.phase.replace('_', ' ')]}/> <span class="muted">${whole(s.breaker.failures)} of ${whole(s.breaker.requests)} failed lately</span>`],
            ['Found by name', s.names && s.names.length ? s.names.map((n) => html`<div><span class="mono">${n.name}</span> <span class="muted">${n.error || n.addresses.length + ' addresses, ' + ago(n.at)}</span></div>`) : null]]}/></div></section>
          <section class="card"><header><h2>Routes that come here</h2><span class="muted small">${users.length}</span></header><div class="body routes-here">${users.length ? users.map((e) => html`<a class="mono" href=${href('routes', e.from.slice(6))}>${e.from.slice(6)}${e.label && html` <span class="muted">${e.label}</span>`}</a>`) : html`<p class="muted">None does.</p>`}</div></section>
        </div>
        ${node && node.origin && html`<${Excerpt} origin=${node.origin}/>`}
      </div></div>
    ${ask && html`<${Confirm} title=${'Drain ' + ask.address + '?'} verb="Drain" danger act=${() => act(ask, 'drain')} onClose=${() => setAsk(null)}>
      ${others(ask) > 0 ? `It gets no new requests; those in flight end. ${others(ask)} other ${others(ask) === 1 ? 'target takes' : 'targets take'} over.` : 'It is the only target that is up: until one is enabled, requests for this service fail.'} It holds until it is enabled, the service changes, or the gateway restarts.<//>`}`
}

function Target({ t, v, drain, enable }) {
  const state = stateOf(t)
  return html`<tr><td class="mono">${t.url}</td>
    <td><${Health} state=${state}/>${(t.health_error || t.ejected_until) && html`<div class="small muted">${t.health_error || 'back ' + (new Date(t.ejected_until) > Date.now() ? 'in ' + Math.ceil((Date.parse(t.ejected_until) - Date.now()) / 1000) + ' s' : 'soon')}</div>`}${t.status !== 'up' && html`<div class="small muted">since ${ago(t.since)}</div>`}</td>
    <td class="num">${t.weight}${t.share < 1 && html`<span class="muted"> × ${Math.round(100 * t.share)} %</span>`}</td>
    <td class="num">${count(v.rate)}</td><td class=${'num ' + (v.errors ? 'bad' : '')}>${share(v.errors, v.rate)}</td><td class="num">${ms(v.p50_ms)}</td><td class="num">${ms(v.p99_ms)}</td>
    <td class="num">${whole(t.in_flight)}</td><td class="num" title="open, of which idle">${t.connections_open}<span class="faint"> / ${t.connections_idle}</span></td>
    <td class="num">${t.status === 'drained' ? html`<button class="slim" onClick=${enable} aria-label=${'Enable ' + t.address}>Enable</button>` : html`<button class="slim" onClick=${drain} aria-label=${'Drain ' + t.address}>Drain</button>`}</td></tr>`
}
