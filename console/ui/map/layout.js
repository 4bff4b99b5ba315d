// Where the boxes stand: a column each step from the client to the target,
// each box as near as can be to what leads to it.
export const columns = ['client', 'listener', 'route', 'service', 'target']
const share = { client: 100, listener: 176, route: 272, service: 168, target: 206 }
const top = 34

// layoutOf returns {boxes: id → {x, y, w, h}, width, height, gate, heads}.
export function layoutOf(model, width, tall) {
  const cols = columns.map((kind) => model.nodes.filter((n) => n.kind === kind))
  const boxesWide = columns.reduce((sum, k) => sum + share[k], 0) - share.client // whose two words don't get shorter
  const narrow = Math.max(.72, Math.min(1, (width - share.client - 4 * 36) / boxesWide)) // boxes shrink before one has to scroll
  const widths = columns.map((k) => (k === 'client' ? share.client : Math.round(share[k] * narrow)))
  const sum = widths.reduce((a, b) => a + b, 0)
  const w = Math.max(width, sum + 4 * 30)
  // What is left goes to the routes, whose names are the longest.
  const spare = w - sum - 4 * Math.min(150, (w - sum) / 4)
  widths[2] += Math.min(spare * .5, 160)
  const between = (w - widths.reduce((a, b) => a + b, 0)) / 4

  order(cols, model.edges)
  const tallest = Math.max(...cols.map((c) => c.length), 1)
  const dense = top + tallest * 54 > tall // closer together, if that spares scrolling
  const row = dense ? 40 : 46, gap = dense ? 5 : 8
  const height = Math.max(top + tallest * (row + gap) + 12, Math.min(tall, top + tallest * 80))
  const boxes = new Map()
  const heads = []
  let x = 0
  cols.forEach((col, i) => {
    const used = col.length * (row + gap) - gap
    // A column that is much shorter is spread, so that edges stay short and flat.
    const room = height - top - 12 - used
    const extra = col.length > 0 ? Math.min(28, room / (col.length + 1)) : 0
    let y = top + (room - extra * (col.length - 1)) / 2
    for (const n of col) {
      boxes.set(n.id, { x, y, w: widths[i], h: row })
      y += row + gap + extra
    }
    heads.push({ kind: columns[i], x, w: widths[i] })
    x += widths[i] + between
  })
  const listeners = heads[1]
  return { boxes, width: w, height, heads, gate: { x: listeners.x + listeners.w + between * .42, top: top, bottom: height - 12 } }
}

// order sorts services and routes by where their neighbours stand.
function order(cols, edges) {
  const [, , routes, services, targets] = cols
  const from = group(edges, 'from')
  const place = (list) => new Map(list.map((n, i) => [n.id, i]))
  const mean = (ids, at) => {
    let sum = 0, n = 0
    for (const id of ids || []) if (at.has(id)) { sum += at.get(id); n++ }
    return n ? sum / n : Infinity
  }
  for (let round = 0; round < 3; round++) {
    const rank = place(services)
    stable(routes, (r) => mean(from.get(r.id), rank))
    const at = place(routes)
    const into = group(edges, 'to', 'from')
    stable(services, (s) => mean(into.get(s.id), at))
  }
  const rank = place(services)
  stable(targets, (t) => (rank.has(t.service) ? rank.get(t.service) : Infinity))
}

function group(edges, by, what = 'to') {
  const m = new Map()
  for (const e of edges) { const l = m.get(e[by]); if (l) l.push(e[what]); else m.set(e[by], [e[what]]) }
  return m
}

function stable(list, key) {
  const keyed = list.map((n, i) => [key(n), i, n]).sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1))
  keyed.forEach(([, , n], i) => { list[i] = n })
}

// curve is the path of an edge between two boxes, or a box and the gate.
export function curve(x1, y1, x2, y2) {
  const bend = Math.max(24, (x2 - x1) * .46)
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}C${(x1 + bend).toFixed(1)} ${y1.toFixed(1)} ${(x2 - bend).toFixed(1)} ${y2.toFixed(1)} ${x2.toFixed(1)} ${y2.toFixed(1)}`
}
