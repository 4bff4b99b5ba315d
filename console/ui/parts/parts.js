// Parts that several pages share.
import { html, useEffect, useRef, useState, Fragment } from '../html.js'
import { Icon, Shape } from './icons.js'

export { Icon, Shape }

// Head is the top of a page. Its h1 takes the focus when the page changes, so
// that a screen reader says where one is.
export function Head({ title, crumb, children, mono }) {
  useEffect(() => { document.title = title + ' · Gopura console' }, [title])
  return html`<header class="head">
    <div class="title">${crumb && html`<div class="crumb">${crumb}</div>`}<h1 tabindex="-1" class=${mono ? 'name' : ''}>${title}</h1></div>
    <div class="acts">${children}</div>
  </header>`
}

// Search is the field that / leads to.
export function Search({ value, onInput, label, placeholder }) {
  return html`<label class="search"><span class="hidden-text">${label}</span><${Icon} name="search" size=${14}/>
    <input type="search" data-search value=${value} placeholder=${placeholder || label} onInput=${(e) => onInput(e.target.value)} spellcheck="false" autocomplete="off"
      onKeyDown=${(e) => { if (e.key === 'Escape') { if (value) onInput(''); else e.target.blur() ; e.stopPropagation() } }}/>${!value && html`<kbd aria-hidden="true">/</kbd>`}</label>`
}

export const Choice = ({ label, value, options, onPick }) => html`<div class="choice" role="group" aria-label=${label}>${
  options.map(([v, text]) => html`<button type="button" aria-pressed=${v === value ? 'true' : 'false'} onClick=${() => onPick(v)}>${text}</button>`)}</div>`

// RouteName shows "GET /users/{id}" with its methods set apart.
export function RouteName({ name, match }) {
  const text = match || name
  const m = /^([A-Z|]+) (.*)$/.exec(text)
  const named = match && match !== name
  return html`<span class="pair" title=${named ? name + ' (' + match + ')' : text}>${m && html`<span class="method">${m[1]}</span>`}<span class="mono clip">${m ? m[2] : text}</span>${named && html`<span class="faint clip">${name}</span>`}</span>`
}

// stateOf says how a target is: [state, word].
export function stateOf(t) {
  switch (t.status) {
    case 'up': return t.share < 1 ? ['well', 'warming up'] : ['well', 'up']
    case 'drained': return ['off', 'drained']
    case 'ejected': return ['warn', 'ejected']
    case 'unhealthy': return ['bad', 'unhealthy']
  }
  return ['off', t.status || 'unknown']
}

export function serviceState(s) {
  if (!s) return ['off', 'unknown']
  const up = s.targets.filter((t) => t.status === 'up').length
  if (s.breaker && s.breaker.phase === 'open') return ['bad', 'breaker open']
  if (s.targets.length && up === 0) return ['bad', 'no target up']
  if (s.breaker && s.breaker.phase === 'half_open') return ['warn', 'breaker half open']
  if (up < s.targets.length) return ['warn', `${up} of ${s.targets.length} up`]
  return ['well', s.targets.length === 1 ? 'up' : `${up} up`]
}

export const Health = ({ state: [state, word] }) => html`<span class="health"><${Shape} state=${state}/>${word}</span>`

export const statusClass = (status) => 's' + (status ? String(status)[0] : '0')
export const Status = ({ status }) => html`<span class=${'code ' + statusClass(status)}>${status || '···'}</span>`

// Problem shows an error, or a problem of a configuration.
export function Problem({ error, title, children, warning }) {
  if (!error && !title) return null
  return html`<div class=${'problem' + (warning ? ' warning' : '')} role=${warning ? 'note' : 'alert'}><${Icon} name="warn"/><div>
    <p>${title || error.detail || error.message}</p>${error && error.problems && error.problems.map((p) => html`<p class="small mono">${p.file}${p.line ? ':' + p.line : ''} ${p.message}</p>`)}${children}</div></div>`
}

export const Empty = ({ title, children }) => html`<div class="empty"><b>${title}</b>${children}</div>`

export const Loading = () => html`<div class="empty" role="status">Asking the gateway …</div>`

// Waiting shows what stands in the way of an answer, or the answer.
export function Waiting({ poll, children }) {
  if (poll.error && !poll.data) return html`<div class="page"><${Problem} error=${poll.error}/></div>`
  if (!poll.data) return html`<${Loading}/>`
  return children
}

// Dialog is modal; Escape and a click beside it close it.
export function Dialog({ label, onClose, wide, children }) {
  const ref = useRef()
  useEffect(() => {
    const d = ref.current
    if (!d.open) d.showModal()
    return () => d.close()
  }, [])
  return html`<dialog ref=${ref} class=${wide ? 'wide' : ''} aria-label=${label} onClose=${onClose} onClick=${(e) => { if (e.target === ref.current) onClose() }}>${children}</dialog>`
}

// Confirm asks before something that others notice. act may return a promise;
// what it throws is shown.
export function Confirm({ title, children, verb, danger, act, onClose }) {
  const [error, setError] = useState(null)
  const [busy, setBusy] = useState(false)
  const submit = async (e) => {
    e.preventDefault()
    setBusy(true)
    try { await act(); onClose() } catch (err) { setError(err); setBusy(false) }
  }
  return html`<${Dialog} label=${title} onClose=${onClose}><form onSubmit=${submit}>
    <h2>${title}</h2><div class="muted">${children}</div><${Problem} error=${error}/>
    <div class="acts"><button type="button" onClick=${onClose}>Cancel</button><button class=${danger ? 'danger' : 'primary'} disabled=${busy} autofocus>${verb}</button></div>
  </form><//>`
}

// toast tells of something that has been done.
let show = null
export const toast = (text, bad) => show && show({ text, bad, at: Date.now() })
export function Toasts() {
  const [t, set] = useState(null)
  useEffect(() => { show = set; return () => { show = null } }, [])
  useEffect(() => {
    if (!t) return
    const timer = setTimeout(() => set(null), t.bad ? 8000 : 4000)
    return () => clearTimeout(timer)
  }, [t])
  return html`<div role="status" aria-live="polite">${t && html`<div class="toast"><${Shape} state=${t.bad ? 'bad' : 'well'}/>${t.text}</div>`}</div>`
}

export function Facts({ of }) {
  const list = of.filter(([, v]) => v != null && v !== '' && v !== false)
  return html`<dl class="facts">${list.map(([k, v]) => html`<${Fragment}><dt>${k}</dt><dd>${v}</dd><//>`)}</dl>`
}

export const Tiles = ({ of }) => html`<dl class="tiles">${of.map(([name, value, unit, tone]) => html`<div><dt>${name}</dt><dd class=${tone || ''}>${value}${unit && html`<small>${unit}</small>`}</dd></div>`)}</dl>`

export function Copy({ text, label = 'Copy' }) {
  const [done, set] = useState(false)
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); set(true); setTimeout(() => set(false), 1500) } catch { toast('The browser does not let pages copy here; select the text instead.', true) }
  }
  return html`<button type="button" class="slim" onClick=${copy}>${done ? 'Copied' : label}</button>`
}
