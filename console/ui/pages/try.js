// A request through the gateway, with its answer, its time and its reasons.
import { html, useState } from '../html.js'
import { send } from '../api.js'
import { stay } from '../place.js'
import { get } from '../api.js'
import { bytes, ms } from '../format.js'
import { Explanation } from '../parts/explanation.js'
import { Empty, Head, Problem, Status } from '../parts/parts.js'

// headersOf reads "Name: value" lines; a line that is none is an error.
export function headersOf(text) {
  const list = []
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const m = /^([^\s:]+)\s*:\s*(.*)$/.exec(line.trim())
    if (!m) throw new Error(`“${line.trim()}” is no header field: write Name: value.`)
    list.push([m[1], m[2]])
  }
  return list
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']

export function TryPage({ place, snapshot }) {
  const q = place.query
  const [form, setForm] = useState({ method: q.get('method') || 'GET', path: q.get('path') || '/', host: q.get('host') || '', headers: '', body: '', listener: '' })
  const [state, setState] = useState({})
  const set = (k) => (e) => setForm({ ...form, [k]: e.target.value })
  const listeners = (snapshot && snapshot.listeners) || []
  const submit = async (e) => {
    e.preventDefault()
    stay({ method: form.method === 'GET' ? '' : form.method, path: form.path, host: form.host })
    setState({ busy: true })
    try {
      const ask = { method: form.method, path: form.path, headers: headersOf(form.headers), explain: true }
      if (form.host) ask.host = form.host
      if (form.listener) ask.listener = form.listener
      if (form.body) ask.body = form.body
      const answer = await send('POST', '/api/try', ask)
      setState({ answer })
      if (answer.explanation) setState({ answer, why: typeof answer.explanation === 'string' ? await get('/api/explanations/' + encodeURIComponent(answer.explanation)) : answer.explanation })
    } catch (error) { setState((s) => ({ ...s, busy: false, error })) }
  }
  return html`<${Head} title="Try it"/>
    <div class="page"><div class="try">
      <form class="card" onSubmit=${submit}><div class="body top-body">
        <div class="request-line"><label class="field">Method<select value=${form.method} onChange=${set('method')}>${methods.map((m) => html`<option key=${m} value=${m} selected=${m === form.method}>${m}</option>`)}</select></label>
          <label class="field grow">Path and query<input data-search class="mono" name="path" value=${form.path} onInput=${set('path')} required pattern="/.*" title="begins with /" spellcheck="false"/></label></div>
        <div class="request-line"><label class="field grow">Host<input name="host" class="mono" value=${form.host} onInput=${set('host')} placeholder="localhost" spellcheck="false"/></label>
          ${listeners.length > 1 && html`<label class="field">Listener<select onChange=${set('listener')}><option value="">the first</option>${listeners.map((l) => html`<option value=${l.name}>${l.name} (${l.address})</option>`)}</select></label>`}</div>
        <label class="field">Header fields, one a line<textarea name="headers" rows="4" value=${form.headers} onInput=${set('headers')} placeholder=${'Accept: application/json\nAuthorization: Bearer …'} spellcheck="false"></textarea></label>
        <label class="field">Body<textarea name="body" rows="5" value=${form.body} onInput=${set('body')} placeholder="nothing" spellcheck="false"></textarea></label>
        <div class="row"><button class="primary" disabled=${state.busy}>${state.busy ? 'Waiting …' : 'Send'}</button><span class="muted small">A real request: it counts, and services act on it.</span></div>
      </div></form>
      <div class="stack" aria-live="polite">
        <${Problem} error=${state.error}/>
        ${state.answer ? html`<${Answer} a=${state.answer}/>` : !state.error && html`<div class="card"><${Empty} title=${state.busy ? 'Waiting for the answer' : 'No request yet'}><p>It goes through the gateway’s own front end, as if a client had sent it: routes, policies, limits, services. Then you see the answer, how long it took, and why it is what it is.</p><//></div>`}
        ${state.why && html`<section class="card"><header><h2>Why</h2></header><div class="body"><${Explanation} of=${state.why}/></div></section>`}
      </div>
    </div></div>`
}

function pretty(a) {
  if (a.base64) return `(${bytes(a.bytes)} that are no text)`
  const kind = (a.headers.find(([k]) => k.toLowerCase() === 'content-type') || [])[1] || ''
  if (/[/+]json/.test(kind) && a.body.length < 200000) try { return JSON.stringify(JSON.parse(a.body), null, 2) } catch { /* then as it is */ }
  return a.body
}

function Answer({ a }) {
  if (a.error) return html`<${Problem} title=${a.error}><p>after ${ms(a.duration_ms)}</p><//>`
  return html`<section class="card answer"><header><h2><${Status} status=${a.status}/> <span class="muted">${a.protocol}</span></h2><span class="muted"><b>${ms(a.duration_ms)}</b> · ${bytes(a.bytes)}${a.truncated ? ', cut' : ''}</span></header>
    <div class="body stack"><dl class="fields mono">${a.headers.map(([k, v]) => html`<div><dt>${k}</dt><dd>${v}</dd></div>`)}</dl>
    ${a.body && html`<pre class="box body-text" tabindex="0" aria-label="Body of the answer">${pretty(a)}</pre>`}</div></section>`
}
