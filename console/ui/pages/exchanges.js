// The tail: what passes the gateway, as it passes.
import { html, useCallback, useEffect, useMemo, useRef, useState } from '../html.js'
import { events, get, query } from '../api.js'
import { stay } from '../place.js'
import { clock, ms } from '../format.js'
import { Grid } from '../parts/grid.js'
import { Detail } from './exchange.js'
import { Empty, Head, Icon, Problem, Shape, Status } from '../parts/parts.js'

const kept = 2000
const fields = [['path', 'Path begins with', '150px'], ['status', 'Status: 404, 5xx', '110px'], ['route', 'Route', '150px'], ['service', 'Service', '110px'], ['client', 'Client', '120px'], ['method', 'Method', '90px'], ['slower', 'Slower than: 250ms', '140px'], ['code', 'Error code', '120px'], ['identity', 'Identity (sub)', '120px'], ['when', 'CEL: request.method == "POST"', '220px']]
const always = ['path', 'status', 'route', 'slower', 'client']

// useTail keeps what has passed, newest first: {list, state, dropped, error}.
function useTail(filters, paused) {
  const [list, setList] = useState([])
  const [state, setState] = useState('opening')
  const [dropped, setDropped] = useState(0)
  const [error, setError] = useState(null)
  const waiting = useRef([])
  const still = useRef(paused)
  still.current = paused
  const flush = useCallback(() => {
    if (still.current || waiting.current.length === 0) return
    const news = waiting.current.reverse()
    waiting.current = []
    setList((have) => news.concat(have).slice(0, kept))
  }, [])
  useEffect(flush, [paused])
  const key = JSON.stringify(filters)
  useEffect(() => {
    const abort = new AbortController()
    let timer = 0, next = 0
    setList([])
    setDropped(0)
    setError(null)
    waiting.current = []
    const keep = (r) => { r.key = ++next; waiting.current.push(r); if (waiting.current.length > kept) waiting.current.shift() }
    const redraw = setInterval(flush, 250)
    const connect = async () => {
      setState('opening')
      try {
        if (next === 0) {
          const { when, sample, ...past } = filters
          const first = when ? { exchanges: [] } : await get(query('/api/exchanges', { ...past, limit: 100 }), abort.signal)
          first.exchanges.reverse().forEach(keep)
          flush()
        }
        await events(query('/api/exchanges/live', filters), abort.signal, (event, data) => {
          if (event === 'open') { setState('open'); setError(null) }
          else if (event === 'exchange') keep(data)
          else if (event === 'dropped') setDropped((n) => n + data.dropped)
        })
        setState('closed')
        timer = setTimeout(connect, 1000)
      } catch (e) {
        if (abort.signal.aborted) return
        setState('closed')
        setError(e)
        if (e.status !== 400 && e.status !== 401) timer = setTimeout(connect, 3000)
      }
    }
    // A moment for whoever is typing a filter.
    timer = setTimeout(connect, 250)
    return () => { abort.abort(); clearTimeout(timer); clearInterval(redraw) }
  }, [key])
  return { list, state, dropped, error, clear: () => { waiting.current = []; setList([]) }, held: waiting }
}

const columns = [
  { title: 'Time', width: '84px', of: (r) => html`<span class="muted">${clock(r.time, true)}</span>` },
  { title: 'Status', width: '44px', of: (r) => html`<${Status} status=${r.status}/>` },
  { title: 'Request', width: 'minmax(88px, 2.2fr)', of: (r) => html`<span class="pair" title=${r.method + ' ' + r.path}><span class="method">${r.method}</span><span class="mono clip">${r.path}</span></span>` },
  { title: 'Route', width: 'minmax(110px, 1.1fr)', drop: 4, of: (r) => html`<span class="muted">${r.route && r.route !== '-' ? r.route : ''}</span>` },
  { title: 'Service', width: 'minmax(80px, .7fr)', drop: 2, of: (r) => html`<span class="muted">${r.service || (r.calls ? r.calls.length + ' calls' : '')}</span>` },
  { title: 'Client', width: '118px', drop: 3, of: (r) => html`<span class="muted" title=${r.client}>${r.sub || r.client}</span>` },
  { title: 'Code', width: 'minmax(70px, .7fr)', drop: 1, of: (r) => (r.code ? html`<span class=${'mono ' + (r.side === 'client' ? 'muted' : 'bad')}>${r.code}</span>` : null) },
  { title: 'Took', width: '58px', drop: 5, num: true, of: (r) => ms(r.duration_ms) },
]

const few = columns.filter((c) => !['Service', 'Client', 'Code'].includes(c.title)) // beside one that is open

export function ExchangesPage({ place }) {
  const filters = useMemo(() => Object.fromEntries(fields.map(([k]) => [k, place.query.get(k)]).filter(([, v]) => v)), [place.query.toString()])
  const [paused, setPaused] = useState(false)
  const [more, setMore] = useState(fields.some(([k]) => !always.includes(k) && filters[k]))
  const [open, setOpen] = useState(null)
  const [term, setTerm] = useState('')
  const tail = useTail(filters, paused)
  const rows = useMemo(() => {
    const t = term.trim().toLowerCase()
    return t ? tail.list.filter((r) => [r.path, r.route, r.service, r.client, r.sub, r.code, r.user_agent, r.host, r.id, String(r.status)].some((v) => v && v.toLowerCase().includes(t))) : tail.list
  }, [tail.list, term])
  const shown = fields.filter(([k]) => always.includes(k) || more)
  const filtered = Object.keys(filters).length > 0
  return html`<${Head} title="Exchanges">
      <span class="health muted" role="status"><${Shape} state=${paused ? 'off' : tail.state === 'open' ? 'well' : tail.error ? 'bad' : 'warn'}/>${paused ? 'Paused' : tail.state === 'open' ? 'Live' : tail.error ? 'Not live' : 'Opening …'}${tail.dropped > 0 ? ` · ${tail.dropped} left out, it was too fast` : ''}</span>
      <button data-pause aria-pressed=${paused ? 'true' : 'false'} onClick=${() => setPaused(!paused)} title="p"><${Icon} name=${paused ? 'try' : 'pause'} size=${13}/>${paused ? 'Resume' : 'Pause'}</button>
      <button onClick=${tail.clear}>Clear</button><//>
    <div class="page fill">
      <div class="filters" role="search" aria-label="Filters">
        <label class="search"><span class="hidden-text">Find in what is shown</span><${Icon} name="search" size=${14}/><input type="search" data-search placeholder="Find in what is shown" value=${term} onInput=${(e) => setTerm(e.target.value)}/></label>
        ${shown.map(([k, label, width]) => html`<input key=${k} aria-label=${label} placeholder=${label} class=${filters[k] ? 'set' : ''} style=${{ width }} value=${filters[k] || ''} onInput=${(e) => stay({ [k]: e.target.value })} spellcheck="false" autocomplete="off"/>`)}
        <button class="plain" onClick=${() => setMore(!more)} aria-expanded=${more ? 'true' : 'false'}>${more ? 'Fewer' : 'More'}</button>
        ${filtered && html`<button class="plain" onClick=${() => stay(Object.fromEntries(fields.map(([k]) => [k, ''])))}>No filter</button>`}
      </div>
      ${tail.error && html`<${Problem} error=${tail.error} warning=${tail.error.status === 400}/>`}
      <div class=${'split grow' + (open ? ' two' : '')}>
        <${Grid} label="Exchanges, the newest first" rows=${rows} columns=${open ? few : columns} keyOf=${(r) => r.key} height=${31} stick chosen=${open && open.key} onOpen=${(r) => setOpen(r)}
          empty=${html`<${Empty} title=${filtered || term ? 'Nothing like that has passed yet' : 'Waiting for the first exchange'}><p>${filtered || term ? 'All filters must hold. What passes from now on appears here at once.' : 'What passes the gateway appears here as it ends. Nothing is kept when nobody looks.'}</p>${!filtered && html`<p><a href="#/try">Send a request yourself</a></p>`}<//>`}/>
        ${open && html`<${Detail} r=${open} onClose=${() => setOpen(null)}/>`}
      </div>
    </div>`
}
