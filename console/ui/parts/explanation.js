// Why a request gets its answer: candidates, each policy with its verdict and
// what it saw, the choice of the target, the answer; each with its line.
import { html } from '../html.js'
import { brief, href, originPlace } from '../place.js'
import { ms } from '../format.js'
import { Shape, Status } from './parts.js'

const verdicts = { passed: 'well', refused: 'bad', answered: 'warn', 'not reached': 'off', 'nothing to do': 'off' }

export const Origin = ({ at }) => (at ? html`<a class="mono origin" href=${originPlace(at)} title=${at}>${brief(at)}</a>` : null)

const Saw = ({ list }) => (list || []).map((s) => html`<div class="saw mono"><span>${s.expression} = <b>${s.error || s.value}</b></span>${(s.facts || []).map((f) => html`<div class="muted">where ${f}</div>`)}</div>`)

// changes are lines "+ X: y", "- X".
const Changes = ({ list, of }) => (list || []).map((l) => html`<div class=${'change mono ' + (l[0] === '+' ? 'plus' : l[0] === '-' ? 'minus' : '')}>${of && html`<span class="muted">${of} </span>`}${l}</div>`)

function Step({ s }) {
  return html`<li class=${'step is-' + (verdicts[s.verdict] || 'off')}><span class="pin"><${Shape} state=${verdicts[s.verdict] || 'off'}/></span>
    <div class="top"><b>${s.policy}</b>${s.owner && html`<span class="muted">${s.owner}</span>`}<span class=${verdicts[s.verdict] === 'bad' ? 'bad' : 'muted'}>${s.verdict}${s.status ? ` with ${s.status}` : ''}${s.code ? ' ' + s.code : ''}</span>${s.shadowed && html`<span class="tag">only noted</span>`}<${Origin} at=${s.origin}/></div>
    ${s.reason && html`<p>${s.reason}</p>`}
    <${Saw} list=${s.saw}/>${(s.notes || []).map((n) => html`<p class="muted">${n}</p>`)}
    <${Changes} list=${s.request}/><${Changes} list=${s.response} of="answer"/></li>`
}

const Part = ({ title, children }) => html`<section class="part"><h3>${title}</h3>${children}</section>`

export function Explanation({ of: x }) {
  const won = (x.candidates || []).filter((c) => c.won), lost = (x.candidates || []).filter((c) => !c.won)
  return html`<div class="explanation">
    <${Part} title="Route">${won.map((c) => html`<div class="line"><${Shape} state="well"/><a class="mono" href=${href('routes', c.route)}>${c.route}</a><span class="muted">takes it${x.params && x.params.length ? ', ' + x.params.join(', ') : ''}${x.timeout ? ', within ' + x.timeout : ''}</span><${Origin} at=${c.origin}/></div>`)}
      ${won.length === 0 && html`<div class="line"><${Shape} state="bad"/>No route takes it</div>`}
      ${lost.map((c) => html`<div class="line muted"><${Shape} state="off"/><a class="mono" href=${href('routes', c.route)}>${c.route}</a><span>${c.reason}</span><${Origin} at=${c.origin}/></div>`)}<${Saw} list=${x.conditions}/><//>
    ${x.steps && x.steps.length > 0 && html`<${Part} title="Policies"><ol class="steps">${x.steps.map((s) => html`<${Step} s=${s}/>`)}</ol><//>`}
    ${x.plan && html`<${Part} title="Plan"><pre class="box" tabindex="0" aria-label="Plan">${x.plan}</pre><//>`}
    ${x.sent && x.sent.length > 0 && html`<${Part} title="Sent to the service">${x.sent.map((s) => html`<div class="sent"><div><a href=${href('services', s.service)}>${s.service}</a> <span class="mono">${s.request}</span>${s.played && html`<span class="muted"> · answer played: ${s.played}</span>`}</div>
      ${(s.header || []).map((h) => html`<div class="mono muted">${h}</div>`)}</div>`)}<//>`}
    ${x.services && x.services.length > 0 && html`<${Part} title="Services">${x.services.map((s) => html`<div class="sent"><div><a href=${href('services', s.name)}>${s.name}</a> <${Origin} at=${s.origin}/></div>${(s.targets || []).map((t) => html`<div class="mono muted">${typeof t === 'string' ? t : JSON.stringify(t)}</div>`)}${(s.rules || []).map((r) => html`<div class="muted">${r}</div>`)}</div>`)}<//>`}
    ${x.attempts && x.attempts.length > 0 && html`<${Part} title="Attempts"><${Bars} list=${x.attempts.map((a) => ({ ...a, name: a.service }))}/><//>`}
    ${x.calls && x.calls.length > 0 && html`<${Part} title="Calls"><${Bars} list=${x.calls}/><//>`}
    ${x.answer && html`<${Part} title="Answer"><div class="line"><${Status} status=${x.answer.status}/><span>by the ${x.answer.by || 'gateway'}</span>${x.answer.code && html`<span class="tag mono">${x.answer.code}</span>`}</div>
      ${x.answer.detail && html`<p>${x.answer.detail}</p>`}${x.answer.cause && html`<p class="muted">Only the log is told: ${x.answer.cause}</p>`}${(x.answer.header || []).map((h) => html`<div class="mono muted">${h}</div>`)}<//>`}
    ${x.notes && x.notes.length > 0 && html`<${Part} title="Notes">${x.notes.map((n) => html`<p class="muted">${n}</p>`)}<//>`}
  </div>`
}

// Bars are calls or attempts on the line of time.
export function Bars({ list }) {
  const end = Math.max(1e-6, ...list.map((c) => (c.start_ms || 0) + (c.duration_ms || 0)))
  return html`<div class="bars">${list.map((c) => html`<div class="bar-row"><span class="clip" title=${c.name}>${c.name}</span><${Status} status=${c.status}/>
    <svg width="100%" height="14" role="img" aria-label=${`from ${ms(c.start_ms || 0)}, for ${ms(c.duration_ms)}`}><rect width="100%" height="2" y="6" fill="var(--line)"/><rect x=${(100 * (c.start_ms || 0) / end).toFixed(2) + '%'} width=${Math.max(1, 100 * (c.duration_ms || 0) / end).toFixed(2) + '%'} height="10" y="2" rx="3" fill=${c.code && c.code !== '-' || c.status >= 500 ? 'var(--bad)' : 'var(--s1)'}/></svg>
    <span class="num">${ms(c.duration_ms)}</span><span class="muted clip">${[c.code, c.target, c.requests > 1 ? c.requests + ' requests' : ''].filter(Boolean).join(' · ')}</span></div>`)}</div>`
}
