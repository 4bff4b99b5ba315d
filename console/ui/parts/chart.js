// Charts over time, by uPlot. A chart has a legend that says the numbers under
// the cursor, or the latest; charts on a page share their cursor.
import { html, useEffect, useMemo, useRef, useState } from '../html.js'
import { clock, none } from '../format.js'

// colour resolves a variable of the style sheet: a canvas can't.
function colour(name) {
  const probe = document.createElement('i')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const value = getComputedStyle(probe).color
  probe.remove()
  return value
}

// useTheme redraws when the theme changes: by the switch, or by the system.
export function useTheme() {
  const [n, set] = useState(0)
  useEffect(() => {
    const changed = () => set((x) => x + 1)
    const system = matchMedia('(prefers-color-scheme: dark)')
    const own = new MutationObserver(changed)
    own.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
    system.addEventListener('change', changed)
    return () => { own.disconnect(); system.removeEventListener('change', changed) }
  }, [])
  return n
}

const dashes = { dash: [6, 4], dots: [2, 3] }

// Chart draws lines = [{name, values, colour: '--s1', fill?, dash?}] over from
// and step (seconds). say formats a value.
export function Chart({ label, from, step, lines, height = 150, say }) {
  const ref = useRef()
  const plot = useRef(null)
  const [at, setAt] = useState(null)
  const theme = useTheme()
  const shape = lines.map((l) => l.name).join('|')
  const length = lines.length ? lines[0].values.length : 0
  const data = useMemo(() => {
    const start = Date.parse(from) / 1000
    return [Array.from({ length }, (_, i) => start + i * step), ...lines.map((l) => l.values)]
  }, [from, step, lines])

  useEffect(() => {
    const el = ref.current
    const axis = { stroke: colour('--faint'), font: '11px Geist, sans-serif', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, border: { show: false } }
    const u = plot.current = new uPlot({
      width: Math.max(100, el.clientWidth), height, legend: { show: false }, padding: [8, 6, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: 'time' } },
      scales: { x: { time: true }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.12 : 1] } },
      axes: [
        { ...axis, size: 24, gap: 6, space: 70, values: (_, list) => list.map((t) => clock(t * 1000).slice(0, 5)) },
        { ...axis, size: 54, gap: 6, space: 34, values: (_, list) => list.map((v) => say(v)) },
      ],
      series: [{}, ...lines.map((l) => {
        const c = colour(l.colour)
        return { label: l.name, stroke: c, width: 1.6, dash: dashes[l.dash], fill: l.fill ? c.replace('rgb(', 'rgba(').replace(')', ', .10)') : undefined, points: { size: 5, fill: c, show: true, filter: lone }, spanGaps: false }
      })],
      hooks: { setCursor: [(p) => setAt(p.cursor.idx == null ? null : p.cursor.idx)] },
    }, data, el)
    const o = new ResizeObserver(() => { if (el.clientWidth) u.setSize({ width: el.clientWidth, height }) })
    o.observe(el)
    return () => { o.disconnect(); u.destroy(); plot.current = null }
  }, [theme, shape, height])
  useEffect(() => { if (plot.current) plot.current.setData(data) }, [data])

  const i = at == null || at >= length ? lastKnown(lines) : at
  return html`<figure class="figure"><figcaption class="legend"><span class="when">${at == null ? 'now' : clock((data[0][i] || 0) * 1000)}</span>${lines.map((l) => html`<span>
    <svg width="16" height="8" aria-hidden="true"><path d="M0 4h16" stroke=${`var(${l.colour})`} stroke-width="2" stroke-dasharray=${(dashes[l.dash] || []).join(' ') || undefined}/></svg>${l.name} <b>${i < 0 || l.values[i] == null ? none : say(l.values[i])}</b></span>`)}</figcaption>
    <div ref=${ref} class="chart" role="img" aria-label=${label + ': ' + lines.map((l) => l.name + ' ' + (i < 0 || l.values[i] == null ? 'unknown' : say(l.values[i]))).join(', ')} style=${{ height: height + 'px' }}></div></figure>`
}

// lone returns the values with nothing on either side, which no line would show.
function lone(u, series) {
  const values = u.data[series]
  return values.flatMap((v, i) => (v != null && values[i - 1] == null && values[i + 1] == null ? [i] : []))
}

function lastKnown(lines) {
  if (!lines.length) return -1
  for (let i = lines[0].values.length - 1; i >= 0; i--) if (lines.some((l) => l.values[i] != null)) return i
  return -1
}

// Spark is a line so small that it needs no axis.
export function Spark({ values, width = 84, height = 20, colour = 'var(--s1)' }) {
  if (!values || !values.some((v) => v > 0)) return html`<svg class="spark" width=${width} height=${height} aria-hidden="true"></svg>`
  const list = values.slice(-60)
  const top = Math.max(...list.map((v) => v || 0)) || 1
  const d = list.map((v, i) => (i ? 'L' : 'M') + (i * width / (list.length - 1)).toFixed(1) + ' ' + (height - 1.5 - (v || 0) / top * (height - 3)).toFixed(1)).join('')
  return html`<svg class="spark" width=${width} height=${height} aria-hidden="true"><path d=${d + `L${width} ${height}L0 ${height}Z`} fill=${colour} opacity=".12"/><path d=${d} fill="none" stroke=${colour} stroke-width="1.400" stroke-linejoin="round"/></svg>`
}
