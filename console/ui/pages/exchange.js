// One exchange of the tail: all that its record says, and why it went so.
import { html, useEffect, useState } from '../html.js'
import { get, send } from '../api.js'
import { href } from '../place.js'
import { bytes, clock, date, ms } from '../format.js'
import { Bars, Explanation } from '../parts/explanation.js'
import { Copy, Facts, Icon, Problem, Status } from '../parts/parts.js'

export function Detail({ r, onClose }) {
  const [tab, setTab] = useState('what')
  const [why, setWhy] = useState(null)
  useEffect(() => { setWhy(null); setTab('what') }, [r.key])
  const explain = async () => {
    setTab('why')
    if (why) return
    try {
      setWhy({ of: await explanationOf(r) })
    } catch (error) { setWhy({ error }) }
  }
  return html`<aside class="detail" aria-label=${'Exchange ' + r.id}>
    <h2 class="hidden-text">Exchange ${r.id}</h2><header><div class="top"><${Status} status=${r.status}/><span class="method">${r.method}</span><span class="mono wrap">${r.path}</span></div>
      <button class="plain" data-close aria-label="Close" title="Close (Esc)" onClick=${onClose}><${Icon} name="close"/></button></header>
    <div class="choice" role="group" aria-label="View"><button aria-pressed=${tab === 'what' ? 'true' : 'false'} onClick=${() => setTab('what')}>What happened</button><button aria-pressed=${tab === 'why' ? 'true' : 'false'} onClick=${explain}>Explain</button><button aria-pressed=${tab === 'debug' ? 'true' : 'false'} onClick=${() => setTab('debug')}>Explain the next</button></div>
    ${tab === 'what' && html`<${What} r=${r}/>`}
    ${tab === 'why' && html`${why ? (why.error ? html`<${Problem} error=${why.error}/>` : html`${why.of.live ? html`<p class="kind fact"><b>Fact.</b> Noted while this request passed.</p>` : html`<${Known} r=${r} x=${why.of}/>
      <p class="kind rehearsed"><b>Rehearsal.</b> What follows did not happen: it is the same method, host, path, client and caller by the configuration in force now, on paper. Header fields and body of the request are not kept, so conditions on them may come out differently; limits are full; answers of services are played. <button class="link" onClick=${() => setTab('debug')}>Explain the next one for real</button></p>`}<${Explanation} of=${why.of}/>`) : html`<p class="muted" role="status">Asking …</p>`}`}
    ${tab === 'debug' && html`<${Debug} r=${r}/>`}
  </aside>`
}

// explanationOf prefers what was noted of the request itself.
async function explanationOf(r) {
  if (r.explanation) return get('/api/explanations/' + encodeURIComponent(r.explanation))
  const url = r.host ? 'http://' + r.host + r.path : r.path
  const ask = { method: r.method, url }
  if (r.client) ask.client = r.client
  if (r.sub) ask.as = r.sub
  return send('POST', '/api/explain', ask)
}

// Known is what the record says for a fact, beside what the rehearsal came to:
// [name, fact, rehearsed (null: it can't tell), whether they agree].
function Known({ r, x }) {
  const played = x.answer || {}
  const names = (list) => [...new Set(list)].sort()
  const asked = names(r.calls ? r.calls.map((c) => c.service) : r.service ? [r.service] : []), would = names((x.sent || []).map((s) => s.service))
  const rows = [
    ['Route', r.route || 'none', x.route || 'none'],
    ['Verdict', r.code ? `${r.code}, by the ${r.side}` : 'passed', played.code || 'passed', (r.code || '') === (played.code || '')],
    ['Status', String(r.status || 'none'), r.service && !played.code ? null : String(played.status || '')],
    ['Service', asked.join(', ') || 'none was asked', would.join(', ') || 'none would be asked', asked.join() === would.join()],
    ['Caller', r.identity ? `${r.sub || '?'} (${r.identity})` : 'not known', null],
    ['Target', r.target, null], ['Attempts', r.attempts > 0 ? String(r.attempts) : null, null],
    ['Took', ms(r.duration_ms) + (r.upstream_ms ? ', the service ' + ms(r.upstream_ms) : ''), null],
    ['Why', r.cause, null],
  ].filter(([, fact]) => fact)
  return html`<p class="kind fact"><b>Fact.</b> What the record of this request says${x.route && r.route && x.route !== r.route ? html`; <b class="warn">the rehearsal takes another route</b>` : ''}.</p>
    <table class="plain known"><thead><tr><th>What</th><th>Fact</th><th>Rehearsed</th></tr></thead><tbody>${rows.map(([k, fact, other, same = other === fact]) => html`<tr><th scope="row">${k}</th><td class="mono">${fact}</td><td class=${'mono ' + (other == null ? 'faint' : same ? 'muted' : 'warn')}>${other == null ? 'can’t be told' : same ? 'the same' : other}</td></tr>`)}</tbody></table>`
}

const known = ['key', 'time', 'id', 'client', 'method', 'host', 'path', 'protocol', 'status', 'code', 'side', 'route', 'service', 'target', 'attempts', 'duration_ms', 'upstream_ms', 'received', 'sent', 'user_agent', 'referer', 'identity', 'sub', 'cause', 'grpc_status', 'calls', 'explanation']

function What({ r }) {
  const mono = (v) => v && html`<span class="mono">${v}</span>`
  return html`${r.cause && html`<${Problem} title=${r.cause} warning=${r.side === 'client'}><p class="small">${r.code}, by the ${r.side}</p><//>`}
    <${Facts} of=${[
      ['When', date(r.time).slice(0, 10) + ' ' + clock(r.time, true)], ['Took', ms(r.duration_ms) + (r.upstream_ms ? ', the service ' + ms(r.upstream_ms) : '')],
      ['Code', r.code && !r.cause && html`<span class="mono">${r.code}</span>, by the ${r.side}`], ['Host', mono(r.host)], ['Protocol', r.protocol],
      ['Route', r.route && html`<a class="mono" href=${href('routes', r.route)}>${r.route}</a>`],
      ['Service', r.service && html`<a href=${href('services', r.service)}>${r.service}</a>`], ['Target', mono(r.target)], ['Attempts', r.attempts > 1 ? r.attempts : null], ['gRPC status', r.grpc_status],
      ['Client', mono(r.client)], ['Identity', r.identity && `${r.sub || ''} (${r.identity})`], ['User agent', r.user_agent], ['Referer', r.referer],
      ['Received', bytes(r.received)], ['Sent', bytes(r.sent)], ['Request id', mono(r.id)],
      ...Object.entries(r).filter(([k, v]) => !known.includes(k) && v !== '' && v != null).map(([k, v]) => [k.replaceAll('_', ' '), typeof v === 'object' ? mono(JSON.stringify(v)) : String(v)]),
    ]}/>
    ${r.calls && html`<section class="part"><h3>Calls of the composed answer</h3><${Bars} list=${r.calls}/></section>`}
    <p class="links"><a href=${href('try', null, { method: r.method, path: r.path, host: r.host })}>Send it again</a></p>`
}

// Debug makes a header with which the next real request is explained.
function Debug({ r }) {
  const [token, setToken] = useState(null)
  const [error, setError] = useState(null)
  const ask = () => send('POST', '/api/debug-tokens', { for: '5m' }).then(setToken, setError)
  return html`<p class="muted">A request with a signed header is explained as it really goes: limits as they are, the target that was chosen, each attempt. The header never reaches a service.</p>
    <${Problem} error=${error}/>
    ${token ? html`<pre class="box" tabindex="0" aria-label="The header">${token.header}: ${token.value}</pre><div class="row"><${Copy} text=${`${token.header}: ${token.value}`} label="Copy the header"/><span class="muted small">good until ${clock(token.expires)}</span></div>
      <p class="muted small">The answer has Gopura-Explanation with an id. What was explained lately:</p><${Recent}/>`
      : html`<div><button onClick=${ask}>Make a header, good for 5 minutes</button></div><p class="links"><a href=${href('try', null, { method: r.method, path: r.path, host: r.host })}>Or send it from here</a></p>`}`
}

function Recent() {
  const [list, setList] = useState([])
  const [open, setOpen] = useState(null)
  useEffect(() => {
    let timer = 0
    const ask = () => get('/api/explanations').then((d) => setList(d.explanations), () => {}).finally(() => { timer = setTimeout(ask, 2000) })
    ask()
    return () => clearTimeout(timer)
  }, [])
  return html`${list.slice(0, 8).map((e) => html`<div class="line"><${Status} status=${e.status}/><button class="link mono clip" onClick=${() => get('/api/explanations/' + encodeURIComponent(e.id)).then(setOpen)}>${e.request}</button><span class="muted">${clock(e.time)}</span></div>`)}
    ${list.length === 0 && html`<p class="faint small">None yet.</p>`}${open && html`<${Explanation} of=${open}/>`}`
}
