// Routes: all of them with their numbers, and one with everything about it.
import { html, useEffect, useMemo, useState } from '../html.js'
import { send } from '../api.js'
import { pace, usePoll } from '../live.js'
import { brief, go, href, originPlace, stay } from '../place.js'
import { whole } from '../format.js'
import { Grid, useSorted } from '../parts/grid.js'
import { Charts, latencyColumns, limitedColumn, none, rateColumns, useSparks, ValueTiles } from '../parts/numbers.js'
import { Excerpt } from '../parts/source.js'
import { Origin } from '../parts/explanation.js'
import { Empty, Facts, Head, Health, RouteName, Search, serviceState, Waiting } from '../parts/parts.js'

export function RoutesPage({ place, snapshot }) {
  const generation = snapshot ? snapshot.generation : 0
  const routes = usePoll(generation ? '/api/routes?generation=' + generation : null, 60000)
  const traffic = usePoll('/api/traffic', pace.traffic)
  if (place.name != null) return html`<${Waiting} poll=${routes}><${One} name=${place.name} routes=${routes.data} traffic=${traffic.data} generation=${generation}/><//>`
  return html`<${List} routes=${routes} traffic=${traffic.data} place=${place}/>`
}

const fits = (r, term) => !term || [r.name, r.match, r.to, r.origin, ...(r.policies || [])].some((s) => s && s.toLowerCase().includes(term))

function List({ routes, traffic, place }) {
  const [sort, setSort] = useState({ by: 'Requests/s', down: true })
  const term = (place.query.get('q') || '').trim().toLowerCase()
  const rows = useMemo(() => (routes.data || []).filter((r) => fits(r, term)).map((r) => ({ ...r, v: (traffic && traffic.nodes['route:' + r.name]) || none })), [routes.data, traffic, term])
  const [spark, seen] = useSparks((r) => 'route:' + r.name)
  const columns = [
    { title: 'Route', width: 'minmax(130px, 2.4fr)', sort: (r) => r.path, of: (r) => html`<${RouteName} name=${r.name} match=${r.match}/>` },
    { title: 'To', width: 'minmax(100px, 1.1fr)', drop: 4, sort: (r) => r.to, of: (r) => html`<span class="muted">${r.to}</span>` },
    spark, ...rateColumns, limitedColumn, ...latencyColumns,
  ]
  const sorted = useSorted(rows, columns, sort)
  return html`<${Head} title="Routes"><span class="muted" role="status">${routes.data && (term ? `${whole(rows.length)} of ${whole(routes.data.length)}` : whole(routes.data.length))}</span>
      <${Search} label="Filter by path, policy, service or file" value=${place.query.get('q') || ''} onInput=${(q) => stay({ q })} placeholder="Filter: path, policy, service …"/><//>
    <${Waiting} poll=${routes}><div class="page fill"><${Grid} label="Routes" rows=${sorted} columns=${columns} keyOf=${(r) => r.name} sort=${sort} onSort=${setSort} onRange=${seen}
      onOpen=${(r) => go('routes', r.name)} empty=${html`<${Empty} title=${term ? 'No route fits' : 'No routes yet'}>${term ? html`<p>Names, paths, policies, services and file names are searched.</p>` : html`<p>Add some to the configuration; they appear here when it is in force.</p>`}<//>`}/></div><//>`
}

function One({ name, routes, traffic, generation }) {
  const topology = usePoll('/api/topology?generation=' + generation, 60000)
  const services = usePoll('/api/services', pace.state)
  const r = routes.find((x) => x.name === name)
  if (!r) return html`<${Head} title="Route" crumb=${html`<a href=${href('routes')}>Routes</a>`}/><div class="page"><${Empty} title="No route is called so"><p>It may have gone with a change of the configuration.</p><p><a href=${href('routes')}>All routes</a></p><//></div>`
  const v = (traffic && traffic.nodes['route:' + name]) || none
  const edges = ((topology.data && topology.data.edges) || []).filter((e) => e.from === 'route:' + name)
  return html`<${Head} title=${r.match} crumb=${html`<a href=${href('routes')}>Routes</a>${r.name !== r.match ? ' / ' + r.name : ''}`} mono>
      <a class="button" href=${href('exchanges', null, { route: name })}>Watch exchanges</a>
      <a class="button" href=${href('try', null, { method: (r.methods || ['GET'])[0], path: r.path, host: (r.hosts || [])[0] })}>Try it</a>
      <a class="button" href=${href('map', null, { at: 'route:' + name })}>On the map</a><//>
    <div class="page"><${ValueTiles} v=${v} latency/><${Charts} id=${'route:' + name}/>
      <div class="cols">
        <div class="stack">
          <section class="card"><header><h2>Where it goes</h2></header><div class="body">${edges.length ? html`<table class="plain"><thead><tr><th>Service</th><th>As</th><th>State</th></tr></thead><tbody>${edges.map((e) => {
            const service = e.to.slice(8), s = (services.data || []).find((x) => x.name === service)
            return html`<tr><td><a href=${href('services', service)}>${service}</a></td><td class="muted">${e.label || 'the only one'}</td><td><${Health} state=${serviceState(s)}/></td></tr>`
          })}</tbody></table>` : html`<p>${r.to}</p>`}</div></section>
          <section class="card"><header><h2>Rules</h2></header><div class="body"><${Facts} of=${[
            ['Methods', r.methods ? r.methods.join(', ') : 'any'], ['Host', r.hosts ? r.hosts.join(', ') : 'any'], ['Path', html`<span class="mono">${r.path}</span>`],
            ['When', r.when && html`<span class="mono">${r.when}</span>`], ['Priority', r.priority], ['Timeout', r.timeout],
                        ['Stands in', html`<a class="mono" href=${originPlace(r.origin)} title=${r.origin}>${brief(r.origin)}</a>`]]}/></div></section>
        </div>
        <div class="stack"><${Policies} r=${r} generation=${generation}/><${Excerpt} origin=${r.origin}/></div>
      </div></div>`
}

// Policies in the order in which they run, each with its line: told by a
// rehearsal of a request that the route should take.
function Policies({ r, generation }) {
  const [steps, setSteps] = useState(null)
  useEffect(() => {
    let gone = false
    setSteps(null)
    const url = (r.hosts && !r.hosts[0].startsWith('*') ? 'http://' + r.hosts[0] : '') + r.path.replace(/\{[^}]*\}/g, '1').replace(/\*+$/, 'x')
    send('POST', '/api/explain', { method: (r.methods || ['GET'])[0], url }).then((x) => { if (!gone && x.route === r.name) setSteps(x.steps) }, () => {})
    return () => { gone = true }
  }, [r.name, generation])
  const list = steps || (r.policies || []).map((policy) => ({ policy }))
  return html`<section class="card"><header><h2>Policies</h2><span class="muted small">in the order in which they run</span></header><div class="body">${list.length === 0 ? html`<p class="muted">None: whoever asks is sent on.</p>` : html`<table class="plain"><tbody>${list.map((s, i) => html`<tr><td class="num faint">${i + 1}</td><td>${s.policy.replaceAll('_', ' ')}${s.owner && html` <span class="muted">of ${s.owner}</span>`}</td><td class="muted">${s.stage || ''}</td><td class="num"><${Origin} at=${s.origin}/></td></tr>`)}</tbody></table>`}</div></section>`
}
