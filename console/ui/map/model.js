// From the topology to what is drawn: with many routes, those that go the same
// way are one box; a search opens the boxes again.

const most = { route: 36, service: 36, target: 44 }

// modelOf returns {nodes, edges, counts}. A node is {id, kind, title, lines, secure,
// members?: ids that it stands for, service?}. rates gives the busiest first.
export function modelOf(topology, filter, rateOf) {
  const byId = new Map(topology.nodes.map((n) => [n.id, n]))
  const out = new Map(), into = new Map() // id → ids
  for (const e of topology.edges) {
    if (e.from === 'client' || e.from.startsWith('listener:')) continue
    push(out, e.from, e)
    push(into, e.to, e)
  }
  const of = (kind) => topology.nodes.filter((n) => n.kind === kind)
  let routes = of('route'), services = of('service'), targets = of('target')
  const counts = { routes: routes.length, services: services.length, targets: targets.length }
  const serviceOf = new Map()
  for (const t of targets) for (const e of into.get(t.id) || []) serviceOf.set(t.id, e.from)

  const term = filter.trim().toLowerCase()
  if (term) {
    const hit = (n) => n.title.toLowerCase().includes(term) || n.id.toLowerCase().includes(term) || (n.lines || []).some((l) => l.toLowerCase().includes(term))
    const ours = new Set(targets.filter(hit).map((t) => serviceOf.get(t.id)))
    services.filter(hit).forEach((s) => ours.add(s.id))
    const direct = routes.filter(hit)
    routes = routes.filter((r) => direct.includes(r) || (out.get(r.id) || []).some((e) => ours.has(e.to)))
    const reached = new Set(ours)
    direct.forEach((r) => (out.get(r.id) || []).forEach((e) => reached.add(e.to)))
    services = services.filter((s) => reached.has(s.id))
    targets = targets.filter((t) => reached.has(serviceOf.get(t.id)))
  }

  const alias = new Map() // id → id of the box that it is part of
  const shownServices = fold(services, most.service, rateOf, (rest) => box('service', 'services', rest), alias)
  const shownTargets = foldTargets(targets, serviceOf, alias)
  let shownRoutes = routes
  if (routes.length > most.route) {
    const groups = new Map()
    for (const r of routes) push(groups, [...new Set((out.get(r.id) || []).map((e) => alias.get(e.to) || e.to))].sort().join('\n') || '=' + (r.to || ''), r)
    shownRoutes = fold([...groups].map(([key, list]) => {
      if (list.length === 1) return list[0]
      const b = box('route', 'routes', list, key)
      list.forEach((r) => alias.set(r.id, b.id))
      return b
    }), most.route, rateOf, (rest) => box('route', 'routes', rest.flatMap((n) => n.members ? n.members.map((id) => byId.get(id)) : [n]), 'rest'), alias)
  }
  const nodes = [...of('client'), ...of('listener'), ...shownRoutes, ...shownServices, ...shownTargets]
  return { nodes, edges: edgesOf(topology.edges, nodes, alias), counts, byId, found: term ? routes.length : null, alias }
}

function push(map, key, value) {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}

function box(kind, noun, list, key = '') {
  const paths = list.slice(0, 3).map((n) => n.title.replace(/^[A-Z|]+ /, ''))
  return { id: `${kind}s:${key || list[0].id}`, kind, title: `${list.length} ${noun}`, lines: [paths.join(', ') + (list.length > 3 ? ', …' : '')], members: list.map((n) => n.id) }
}

// fold leaves the busiest as they are and makes one box of the rest.
function fold(list, most, rateOf, boxOf, alias) {
  if (list.length <= most) return list
  const busiest = new Set(list.map((n, i) => [rateOf(n), i, n]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, most - 1).map((x) => x[2]))
  const rest = list.filter((n) => !busiest.has(n))
  const b = boxOf(rest)
  rest.forEach((n) => { alias.set(n.id, b.id); (n.members || []).forEach((id) => alias.set(id, b.id)) })
  return [...list.filter((n) => busiest.has(n)), b]
}

function foldTargets(targets, serviceOf, alias) {
  if (targets.length <= most.target) {
    return targets.map((t) => ({ ...t, service: serviceOf.get(t.id) }))
  }
  const groups = new Map()
  for (const t of targets) push(groups, alias.get(serviceOf.get(t.id)) || serviceOf.get(t.id), t)
  return [...groups].map(([service, list]) => {
    if (list.length === 1) return { ...list[0], service }
    const b = { ...box('target', 'targets', list, service), service }
    list.forEach((t) => alias.set(t.id, b.id))
    return b
  })
}

function edgesOf(edges, nodes, alias) {
  const shown = new Set(nodes.map((n) => n.id))
  const merged = new Map()
  for (const e of edges) {
    if (e.from.startsWith('listener:')) continue // each reaches each route: drawn as one gate
    const from = alias.get(e.from) || e.from, to = alias.get(e.to) || e.to
    if (!shown.has(from) || !shown.has(to)) continue
    const id = from + '>' + to
    const m = merged.get(id)
    if (m) { m.of.push(e.id); m.label = '' }
    else merged.set(id, { id, from, to, label: e.label || '', of: [e.id] })
  }
  return [...merged.values()]
}
