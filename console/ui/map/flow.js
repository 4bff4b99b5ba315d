// Traffic and health, looked up for boxes that may stand for many.

const zero = { rate: 0, errors: 0, refused: 0, limited: 0, in_flight: 0 }

const sums = new WeakMap() // sample → id of a box → its sum

function once(traffic, id, sum) {
  let m = sums.get(traffic)
  if (!m) sums.set(traffic, m = new Map())
  let v = m.get(id)
  if (!v) m.set(id, v = sum())
  return v
}

// flowOf sums the values of what a node stands for. A latency of many is the
// worst of them.
export function flowOf(traffic, node) {
  if (!traffic) return zero
  const ids = node.members || [node.id]
  if (node.kind === 'client') return traffic.total || zero
  if (ids.length === 1) return traffic.nodes[ids[0]] || zero
  return once(traffic, node.id + ids.length, () => {
    const sum = { ...zero }
    for (const id of ids) add(sum, traffic.nodes[id])
    return sum
  })
}

function add(sum, v) {
  if (!v) return
  for (const k of ['rate', 'errors', 'refused', 'limited', 'in_flight']) sum[k] += v[k] || 0
  for (const k of ['p50_ms', 'p95_ms', 'p99_ms']) if (v[k] != null) sum[k] = Math.max(sum[k] || 0, v[k])
}

export function edgeFlow(traffic, edge) {
  return traffic ? once(traffic, edge.id + edge.of.length, () => sumOf(traffic, edge)) : zero
}

function sumOf(traffic, edge) {
  const sum = { ...zero }
  for (const id of edge.of) {
    if (traffic.edges[id]) add(sum, traffic.edges[id])
    else if (id.startsWith('client>')) add(sum, traffic.nodes[id.slice(7)])
    else {
      const target = /^service:.*?>(target:.*)$/.exec(id)
      if (target) add(sum, traffic.nodes[target[1]])
    }
  }
  return sum
}

// tone: how bad what flows is. One error among hundreds is no alarm.
export function tone(v) {
  if (!v.rate || !v.errors) return v.rate > 0 ? 'flows' : 'idle'
  const part = v.errors / v.rate
  return part >= .1 ? 'bad' : part >= .01 ? 'warn' : 'flows'
}

export const thickness = (rate) => rate > 0 ? Math.min(8, 1.4 + 1.5 * Math.log10(1 + rate)) : 1

// speed is one of five, so that a change of rate seldom restarts an animation.
export const speed = (rate) => Math.max(1, Math.min(5, Math.ceil(Math.log10(1 + rate) * 1.6)))
