// What is known of the box that was clicked, beside the map.
import { html, useMemo, useState } from '../html.js'
import { pace, usePoll } from '../live.js'
import { query } from '../api.js'
import { brief, href, originPlace } from '../place.js'
import { count, ms, share, whole } from '../format.js'
import { Chart } from '../parts/chart.js'
import { Grid } from '../parts/grid.js'
import { Facts, Health, Icon, RouteName, Search } from '../parts/parts.js'
import { flowOf } from './flow.js'

const nouns = { client: 'Clients', listener: 'Listener', route: 'Route', service: 'Service', target: 'Target' }

const isAttempts = (kind) => kind === 'service' || kind === 'target' // retries count

export function Inspector({ node, model, topology, traffic, states, onClose }) {
  const v = flowOf(traffic, node)
  const state = states(node)
  const attempts = isAttempts(node.kind)
  const members = node.members && node.members.map((id) => model.byId.get(id))
  return html`<aside class="inspector" aria-label=${nouns[node.kind] + ' ' + node.title}>
    <header><div class="clip"><div class="crumb">${node.members ? 'Together' : nouns[node.kind]}</div><h2 class=${node.members ? '' : 'mono wrap'}>${node.title}</h2></div>
      <button class="plain" aria-label="Close" title="Close (Esc)" data-close onClick=${onClose}><${Icon} name="close"/></button></header>
    <${Facts} of=${[
      ['Health', state && html`<${Health} state=${state}/>`],
      [attempts ? 'Attempts' : 'Requests', count(v.rate) + ' /s'],
      [attempts ? 'Failed' : 'Errors', v.rate ? share(v.errors, v.rate) : null],
      ['Refused', v.refused ? count(v.refused) + ' /s' : null],
      ['Limited', v.limited ? count(v.limited) + ' /s' : null],
      ['p50 · p95 · p99', v.p50_ms != null ? [v.p50_ms, v.p95_ms, v.p99_ms].map(ms).join(' · ') : null],
      ['In flight', v.in_flight ? whole(v.in_flight) : null],
      ['Connections', v.connections != null ? whole(v.connections) : null],
      ['Policies', node.policies && node.policies.length ? node.policies.join(', ') : null],
      ['Stands in', node.origin && html`<a class="mono" href=${originPlace(node.origin)} title=${node.origin}>${brief(node.origin)}</a>`],
    ]}/>
    ${!node.members && html`<${Lines} id=${node.kind === 'client' ? 'total' : node.id} kind=${node.kind}/>`}
    ${members && html`<${Members} list=${members} traffic=${traffic}/>`}
    <${Links} node=${node} topology=${topology}/>
  </aside>`
}

function Lines({ id, kind }) {
  const poll = usePoll(query('/api/series', { id, minutes: 5 }), pace.slow / 2)
  const s = poll.data && poll.data.series[0]
  const rate = useMemo(() => s && [{ name: isAttempts(kind) ? 'attempts/s' : 'requests/s', values: s.rate, colour: '--s1', fill: true }, { name: isAttempts(kind) ? 'failed' : 'errors', values: s.errors, colour: '--s4' }], [s, kind])
  const late = useMemo(() => s && s.p99_ms && [{ name: 'p50', values: s.p50_ms, colour: '--s1' }, { name: 'p99', values: s.p99_ms, colour: '--s3' }], [s])
  if (!s) return null
  return html`<${Chart} label="Requests" from=${poll.data.from} step=${poll.data.step_seconds} lines=${rate} height=${96} say=${count}/>
    ${late && (kind === 'route' || kind === 'client' || kind === 'target') && html`<${Chart} label="Latency" from=${poll.data.from} step=${poll.data.step_seconds} lines=${late} height=${96} say=${ms}/>`}`
}

function Members({ list, traffic }) {
  const [term, setTerm] = useState('')
  const rows = useMemo(() => list.filter((n) => n.title.toLowerCase().includes(term.toLowerCase())), [list, term])
  const kind = list[0].kind
  const rate = (n) => (traffic && traffic.nodes[n.id] ? traffic.nodes[n.id].rate : 0)
  return html`<div class="members"><${Search} label="Filter these" value=${term} onInput=${setTerm}/>
    <${Grid} label="What stands together" height=${32} rows=${rows} keyOf=${(n) => n.id}
      columns=${[{ title: 'Name', of: (n) => html`<${RouteName} name=${n.title}/>` }, { title: '/s', width: '52px', num: true, of: (n) => count(rate(n)) }]}
      onOpen=${(n) => { location.hash = kind === 'route' ? href('routes', n.id.slice(6)) : kind === 'service' ? href('services', n.id.slice(8)) : href('services', n.id.slice(7).split('/')[0]) }}/></div>`
}

function Links({ node, topology }) {
  if (node.members) return null
  const name = node.id.slice(node.id.indexOf(':') + 1)
  switch (node.kind) {
    case 'route': return html`<p class="more"><a href=${href('routes', name)}>Everything about this route</a><a href=${href('exchanges', null, { route: name })}>Watch its exchanges</a></p>`
    case 'service': return html`<p class="more"><a href=${href('services', name)}>Everything about this service</a><a href=${href('exchanges', null, { service: name })}>Watch its exchanges</a></p>`
    case 'target': return html`<p class="more"><a href=${href('services', (node.service || '').slice(8))}>Its service: drain, enable, health</a></p>`
    case 'client': return html`<p class="more"><a href=${href('clients')}>The busiest clients</a></p>`
  }
  return null
}
