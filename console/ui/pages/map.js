// The architecture as it works now: clients, listeners, routes, services,
// targets, with what flows between them.
import { html, useEffect, useMemo, useRef, useState } from '../html.js'
import { pace, usePoll } from '../live.js'
import { stay } from '../place.js'
import { count, ms, share, whole } from '../format.js'
import { modelOf } from '../map/model.js'
import { columns, curve, layoutOf } from '../map/layout.js'
import { edgeFlow, flowOf, speed, thickness, tone } from '../map/flow.js'
import { Inspector } from '../map/inspector.js'
import { Empty, Head, Problem, Search, serviceState, Shape, stateOf, Waiting } from '../parts/parts.js'

export function MapPage({ place, snapshot }) {
  const generation = snapshot ? snapshot.generation : 0
  const topology = usePoll(generation ? '/api/topology?generation=' + generation : null, 60000)
  const traffic = usePoll('/api/traffic', pace.traffic)
  const services = usePoll('/api/services', pace.state)
  const filter = place.query.get('q') || ''
  const total = traffic.data && traffic.data.total
  return html`<${Head} title="Map">
      ${total && html`<${Totals} v=${total}/>`}
      <${Search} label="Find a route, service or target" value=${filter} onInput=${(q) => stay({ q, at: '' })}/>
    <//>
    <${Waiting} poll=${topology}>
      <${MapView} topology=${topology.data} traffic=${traffic.data} error=${traffic.error} services=${services.data} filter=${filter} at=${place.query.get('at')}/>
    <//>`
}

const Totals = ({ v }) => html`<dl class="totals" aria-label="All traffic">
  <div><dt>requests/s</dt><dd data-total>${count(v.rate)}</dd></div>
  <div><dt>errors</dt><dd class=${v.errors > 0 && v.errors / v.rate >= .01 ? 'bad' : ''}>${share(v.errors, v.rate)}</dd></div>
  <div><dt>p99</dt><dd>${ms(v.p99_ms)}</dd></div>
  <div><dt>in flight</dt><dd>${whole(v.in_flight || 0)}</dd></div></dl>`

function MapView({ topology, traffic, error, services, filter, at }) {
  const ref = useRef()
  const [[width, tall], setSize] = useState([0, 0])
  useEffect(() => {
    const el = ref.current // which the last notice, as the page is left, may outlive
    const o = new ResizeObserver(() => setSize([el.clientWidth - 48, el.clientHeight - 26]))
    o.observe(el)
    return () => o.disconnect()
  }, [])
  // Which boxes are the busiest is decided when the picture is made, not at
  // each sample: nothing may jump while one looks.
  const known = traffic != null
  const model = useMemo(() => modelOf(topology, filter, (n) => flowOf(traffic, n).rate), [topology, filter, known])
  const layout = useMemo(() => layoutOf(model, Math.max(0, width), tall), [model, width, tall])
  const states = useMemo(() => statesOf(services), [services])
  const chosen = at && model.nodes.find((n) => n.id === at)
  const lit = useMemo(() => chosen ? reachOf(chosen, model) : null, [chosen && chosen.id, model])
  // What is chosen stays in sight when its details take room from the map.
  useEffect(() => { if (chosen && ref.current) { const el = ref.current.querySelector('.node.chosen'); if (el) el.scrollIntoView({ block: 'nearest', inline: 'nearest' }) } }, [chosen && chosen.id, width])
  if (topology.nodes.every((n) => n.kind !== 'route')) return html`<div class="page"><${Nothing}/></div>`
  // Beside many boxes there is no room, and moving them all takes its time: over them.
  return html`<div class=${'map-frame' + (model.nodes.length > 100 ? ' over' : '')}><div class="map-scroll" ref=${ref} tabindex="0" role="region" aria-label="Map of the architecture">
      ${width > 0 && html`<div class=${'map' + (lit ? ' dim' : '')} style=${{ width: layout.width + 'px', height: layout.height + 'px' }}>
        <${Edges} model=${model} layout=${layout} traffic=${traffic} lit=${lit}/>
        ${layout.heads.map((h) => html`<div class="map-head" style=${{ left: h.x + 'px', width: h.w + 'px' }}>${heading(h.kind, model)}</div>`)}
        ${model.nodes.map((n) => html`<${Node} key=${n.id} node=${n} box=${layout.boxes.get(n.id)} v=${flowOf(traffic, n)} state=${states(n)} lit=${!lit || lit.has(n.id)} chosen=${chosen === n}/>`)}
      </div>`}
      ${model.found === 0 && html`<${Empty} title="Nothing is called so"><p>Names of routes, services and targets are searched, and the names of policies.</p><//>`}
    </div>
    ${chosen && html`<${Inspector} node=${chosen} model=${model} topology=${topology} traffic=${traffic} services=${services} states=${states} onClose=${() => stay({ at: '' })}/>`}
    <${Legend} error=${error} traffic=${traffic}/></div>`
}

function heading(kind, model) {
  const n = { route: model.counts.routes, service: model.counts.services, target: model.counts.targets }[kind]
  const noun = { client: 'Clients', listener: 'Listeners', route: 'Routes', service: 'Services', target: 'Targets' }[kind]
  return html`${noun}${n != null && html` <span class="faint">${kind === 'route' && model.found != null ? model.found + ' of ' : ''}${whole(n)}</span>`}`
}

// statesOf answers how a node is: by the services that were asked.
function statesOf(services) {
  const byName = new Map((services || []).map((s) => ['service:' + s.name, s]))
  const byTarget = new Map()
  for (const s of services || []) for (const t of s.targets) byTarget.set(`target:${s.name}/${t.address}`, t)
  const rank = { bad: 3, warn: 2, off: 1, well: 0 }
  const one = (id, kind) => kind === 'service' ? serviceState(byName.get(id)) : byTarget.has(id) ? stateOf(byTarget.get(id)) : null
  return (n) => {
    if (n.kind !== 'service' && n.kind !== 'target') return null
    const list = (n.members || [n.id]).map((id) => one(id, n.kind)).filter(Boolean)
    if (list.length <= 1) return list[0] || null
    const worst = list.reduce((a, b) => (rank[b[0]] > rank[a[0]] ? b : a))
    return worst[0] === 'well' ? ['well', 'all up'] : [worst[0], list.filter((x) => x[0] !== 'well').length + ' not well']
  }
}

// reachOf is everything that a box leads to, or that leads to it.
function reachOf(chosen, { edges, nodes }) {
  const set = new Set([chosen.id])
  const gate = chosen.kind === 'client' || chosen.kind === 'listener'
  if (gate) nodes.forEach((n) => { if (n.kind === 'route') set.add(n.id) })
  const walk = (from, to) => {
    const queue = [...set]
    while (queue.length) {
      const at = queue.pop()
      for (const e of edges) if (e[from] === at && !set.has(e[to])) { set.add(e[to]); queue.push(e[to]) }
    }
  }
  walk('from', 'to')
  if (!gate) walk('to', 'from')
  for (const n of nodes) if (n.kind === 'client' || n.kind === 'listener' && (!gate || n === chosen || chosen.kind === 'client')) set.add(n.id)
  return set
}

function Node({ node, box, v, state, lit, chosen }) {
  const m = /^([A-Z|]+) (.*)$/.exec(node.title)
  const sub = node.kind === 'client' ? 'per second' : node.kind === 'target' || node.kind === 'service' ? (state ? state[1] : '') : (node.lines || []).join(' · ')
  const t = tone(v)
  const name = (m ? m[2] : node.title).replace(/^[a-z]+:\/\//, '')
  const port = node.kind !== 'route' && /:\d+$/.exec(name) // stays when the rest is cut off: it tells targets apart
  const title = [node.members ? node.lines[0] : node.title, ...(node.members ? [] : node.lines || [])].join('\n')
  return html`<button type="button" class=${`node ${node.kind} is-${t}${node.members ? ' many' : ''}${chosen ? ' chosen' : ''}${lit ? '' : ' out'}`} title=${title} data-node=${node.id}
      aria-pressed=${chosen ? 'true' : 'false'}
      style=${{ left: box.x + 'px', top: box.y + 'px', width: box.w + 'px', height: box.h + 'px' }} onClick=${() => stay({ at: chosen ? '' : node.id })}>
    <span class="first"><span class="name"><span class="hidden-text">${node.kind} </span>${state && html`<${Shape} state=${state[0]} size=${9}/>`}${m && html`<span class="method">${m[1]}</span>`}<span class=${'clip' + (node.kind === 'service' || node.kind === 'client' || node.members ? '' : ' mono')}>${port ? name.slice(0, -port[0].length) : name}</span>${port && html`<span class="port mono">${port[0]}</span>`}</span>
    <span class="rate num">${v.rate > 0 && html`${count(v.rate)}<span class="hidden-text"> requests per second</span>`}</span></span>
    <span class="second"><span class="sub clip">${sub}</span>
    <span class=${'late num ' + (t === 'bad' || t === 'warn' ? t : '')}>${node.kind === 'client' ? '' : t === 'bad' || t === 'warn' ? share(v.errors, v.rate) + ' err' : v.p99_ms != null ? ms(v.p99_ms) : ''}</span></span>
  </button>`
}

function Edges({ model, layout, traffic, lit }) {
  const { boxes, gate } = layout
  const mid = (b) => b.y + b.h / 2
  const lines = []
  let first = Infinity, last = 0
  for (const n of model.nodes) {
    const b = boxes.get(n.id)
    if (n.kind !== 'listener' && n.kind !== 'route') continue
    first = Math.min(first, mid(b))
    last = Math.max(last, mid(b))
    const v = flowOf(traffic, n)
    const d = n.kind === 'listener' ? curve(b.x + b.w, mid(b), gate.x, mid(b)) : curve(gate.x, mid(b), b.x, mid(b))
    lines.push({ id: n.id + '|gate', d, v, out: lit && !lit.has(n.id) })
  }
  for (const e of model.edges) {
    const a = boxes.get(e.from), b = boxes.get(e.to)
    lines.push({ id: e.id, d: curve(a.x + a.w, mid(a), b.x, mid(b)), v: edgeFlow(traffic, e), label: e.label, x: b.x - 8, y: mid(b), out: lit && !(lit.has(e.from) && lit.has(e.to)) })
  }
  const total = traffic ? traffic.total : null
  return html`<svg class="edges" width=${layout.width} height=${layout.height} aria-hidden="true">
    ${last > first && html`<path class=${'gate ' + (total ? tone(total) : 'idle')} d=${`M${gate.x} ${first}V${last}`}/>`}
    ${lines.map(({ id, d, v, out }) => html`<g key=${id} class=${`edge ${tone(v)}${out ? ' out' : ''}`} data-edge=${id}><path class="bed" d=${d} stroke-width=${thickness(v.rate).toFixed(1)}/>${v.rate > 0 && html`<path class=${'run v' + speed(v.rate)} d=${d} stroke-width=${Math.max(1.2, thickness(v.rate) * .55).toFixed(1)}/>`}</g>`)}
  </svg>`
}

const Legend = ({ error, traffic }) => html`<div class="map-legend legend">
  <span><svg width="34" height="10" aria-hidden="true"><path d="M0 5h10" stroke="var(--flow)" stroke-width="1.500"/><path d="M12 5h10" stroke="var(--flow)" stroke-width="3.500"/><path d="M24 5h10" stroke="var(--flow)" stroke-width="6"/></svg>requests per second</span>
  <span><svg width="16" height="10" aria-hidden="true"><path d="M0 5h16" stroke="var(--warn)" stroke-width="3"/></svg>1 % errors</span>
  <span><svg width="16" height="10" aria-hidden="true"><path d="M0 5h16" stroke="var(--bad)" stroke-width="3"/></svg>10 % errors</span>
  <span><${Shape} state="well"/>well</span><span><${Shape} state="warn"/>not quite</span><span><${Shape} state="bad"/>failing</span><span><${Shape} state="off"/>drained</span>
  <span class="when">${error ? error.detail : traffic ? 'over the last ' + traffic.step_seconds + ' s' : ''}</span></div>`

const Nothing = () => html`<${Empty} title="No routes yet"><p>A route says which requests go where. The configuration in force has none:</p><pre tabindex="0">services:
  users: http://127.0.0.1:9001
routes:
  - { match: /users/*, to: users }</pre><//>`
