// Columns and charts of traffic that routes, services and clients share.
import { html, useMemo, useState } from '../html.js'
import { pace, usePoll } from '../live.js'
import { query } from '../api.js'
import { count, ms, share } from '../format.js'
import { Chart, Spark } from './chart.js'
import { Choice, Empty, Problem, Tiles } from './parts.js'

const quiet = (text) => html`<span class="faint">${text}</span>`
const shown = (v, of) => (v ? of(v) : quiet(of(v)))

// rateColumns of rows that have v, the values of /api/traffic.
export const rateColumns = [
  { title: 'Requests/s', width: '88px', drop: 9, num: true, sort: (r) => r.v.rate || 0, of: (r) => shown(r.v.rate, (n) => count(n || 0)) },
  { title: 'Errors', width: '64px', num: true, sort: (r) => (r.v.rate ? r.v.errors / r.v.rate : 0), of: (r) => (r.v.errors ? html`<span class=${r.v.errors / r.v.rate >= .1 ? 'bad' : 'warn'}>${share(r.v.errors, r.v.rate)}</span>` : quiet(r.v.rate ? '0 %' : '–')) },
]
export const latencyColumns = ['p50', 'p95', 'p99'].map((p, i) => ({ title: p, width: '66px', drop: [2, 5, 8][i], num: true, sort: (r) => r.v[p + '_ms'], of: (r) => shown(r.v[p + '_ms'], ms) }))
export const limitedColumn = { title: 'Limited/s', width: '78px', drop: 3, num: true, sort: (r) => r.v.limited || 0, of: (r) => (r.v.limited ? html`<span class="warn">${count(r.v.limited)}</span>` : quiet('–')) }

export const none = { rate: 0, errors: 0, refused: 0, limited: 0, in_flight: 0 }

// useSparks keeps the series of the rows in sight: [columnOf, onRange].
export function useSparks(idOf) {
  const [ids, setIds] = useState([])
  const poll = usePoll(ids.length ? query('/api/series', { id: ids, minutes: 5 }) : null, pace.slow)
  const byId = useMemo(() => new Map(((poll.data && poll.data.series) || []).map((s) => [s.id, s])), [poll.data])
  const seen = (rows) => {
    const next = rows.slice(0, 40).map(idOf)
    setIds((have) => (have.length === next.length && have.every((x, i) => x === next[i]) ? have : next))
  }
  const column = { title: '5 min', width: '84px', drop: 1, of: (r) => html`<${Spark} values=${(byId.get(idOf(r)) || {}).rate}/>` }
  return [column, seen]
}

// What goes to services and targets is attempts: a retry makes good what one failed.
export const ValueTiles = ({ v, latency, flight = true, attempts }) => html`<${Tiles} of=${[
  [attempts ? 'Attempts' : 'Requests', count(v.rate || 0), '/s'],
  [attempts ? 'Failed attempts' : 'Errors', v.rate ? share(v.errors, v.rate) : '–', '', v.errors && v.errors / v.rate >= .01 ? 'bad' : ''],
  ['Refused (4xx)', count(v.refused || 0), '/s'],
  ['Limited', count(v.limited || 0), '/s', v.limited ? 'warn' : ''],
  ...(latency ? [['p50', ms(v.p50_ms)], ['p95', ms(v.p95_ms)], ['p99', ms(v.p99_ms)]] : []),
  ...(flight ? [['In flight', count(v.in_flight || 0)]] : []),
]}/>`

// sinceCounted leaves open what was before a client was counted: not known is not none.
function sinceCounted(id, lines) {
  const first = id.startsWith('client:') ? lines[0].values.findIndex((x) => x > 0) : 0
  return first > 0 ? lines.map((l) => ({ ...l, values: l.values.map((v, i) => (i < first ? null : v)) })) : lines
}

// Charts of one id: what came, how long it took, what was limited.
export function Charts({ id, latency = true, attempts }) {
  const [minutes, setMinutes] = useState(15)
  const poll = usePoll(query('/api/series', { id, minutes }), pace.slow / 2)
  const s = poll.data && poll.data.series[0]
  const lines = useMemo(() => s && {
    rate: sinceCounted(id, [{ name: attempts ? 'attempts' : 'requests', values: s.rate, colour: '--s1', fill: true }, { name: 'refused', values: s.refused || [], colour: '--s2', dash: 'dash' }, { name: 'errors', values: s.errors, colour: '--s4' }, { name: 'limited', values: s.limited || [], colour: '--s5', dash: 'dots' }].filter((l) => l.colour === '--s1' || l.colour === '--s4' || l.values.some((x) => x > 0))),
    late: s.p99_ms && [{ name: 'p50', values: s.p50_ms, colour: '--s1', fill: true }, { name: 'p95', values: s.p95_ms, colour: '--s2' }, { name: 'p99', values: s.p99_ms, colour: '--s3', dash: 'dash' }],
    flight: s.in_flight && [{ name: 'in flight', values: s.in_flight, colour: '--s2', fill: true }],
  }, [s])
  const span = html`<${Choice} label="Time" value=${minutes} options=${[[5, '5 min'], [15, '15 min']]} onPick=${setMinutes}/>`
  if (poll.error && poll.error.code === 'no_series') return html`<div class="card"><${Empty} title="No traffic yet"><p>Charts begin with the first request. <a href="#/try">Send one</a>.</p><//></div>`
  if (poll.error && !s) return html`<${Problem} error=${poll.error}/>`
  if (!s) return html`<div class="card placeholder"></div>`
  const common = { from: poll.data.from, step: poll.data.step_seconds }
  const second = latency && lines.late ? ['Latency', lines.late, ms] : lines.flight ? ['In flight', lines.flight, count] : null
  return html`<div class="cols">
    <section class="card"><header><h2>${attempts ? 'Attempts' : 'Requests'} per second</h2>${span}</header><div class="body"><${Chart} label=${(attempts ? 'Attempts' : 'Requests') + ' per second'} ...${common} lines=${lines.rate} say=${count}/></div></section>
    ${second && html`<section class="card"><header><h2>${second[0]}</h2></header><div class="body"><${Chart} label=${second[0]} ...${common} lines=${second[1]} say=${second[2]}/></div></section>`}
  </div>`
}
