// The configuration: its files with what is wrong where it stands, what was in
// force before, what changed, and the way back.
import { html, useEffect, useMemo, useRef, useState } from '../html.js'
import { send } from '../api.js'
import { pace, refresh, usePoll } from '../live.js'
import { stay } from '../place.js'
import { ago, clock, date, whole } from '../format.js'
import { Line } from '../parts/source.js'
import { Draft } from './draft.js'
import { Changes } from '../parts/changes.js'
import { Choice, Confirm, Empty, Head, Icon, Problem, toast, Waiting } from '../parts/parts.js'

export function ConfigurationPage({ place, snapshot }) {
  const tab = place.query.get('tab') || 'files'
  const poll = usePoll('/api/configuration', pace.state)
  const [problem, setProblem] = useState(null)
  const [busy, setBusy] = useState(false)
  const reload = async () => {
    setBusy(true)
    setProblem(null)
    try {
      const s = await send('POST', '/api/reload')
      toast(snapshot && s.generation !== snapshot.generation ? `Generation ${s.generation} is in force` : 'Read again: nothing has changed')
    } catch (e) { setProblem(e) }
    setBusy(false)
    refresh()
  }
  return html`<${Head} title="Configuration">
      ${poll.data && html`<span class="muted">generation ${poll.data.generation}, in force ${ago(poll.data.applied)}</span>`}
      <${Choice} label="View" value=${tab} options=${[['files', 'Files'], ['draft', 'Draft'], ['history', 'History']]} onPick=${(v) => stay({ tab: v === 'files' ? '' : v })}/>
      <button onClick=${reload} disabled=${busy}>${busy ? 'Reading …' : 'Reload'}</button><//>
    ${problem && html`<div class="page-note"><${Problem} error=${problem}/></div>`}
    ${tab === 'history' ? html`<${History} place=${place}/>` : tab === 'draft' ? html`<${Waiting} poll=${poll}><${Draft} c=${poll.data}/><//>` : html`<${Waiting} poll=${poll}><${Files} c=${poll.data} place=${place}/><//>`}`
}

function Files({ c, place }) {
  const refused = c.refused && c.refused.problems ? c.refused.problems : []
  const all = useMemo(() => [...refused, ...(c.warnings || [])], [c])
  const name = place.query.get('file') || (refused[0] && refused[0].file) || (c.texts[0] && c.texts[0].name)
  const text = c.texts.find((t) => t.name === name) || c.texts[0]
  const line = +place.query.get('line') || (refused[0] && refused[0].file === name && refused[0].line) || 0
  if (!text) return html`<div class="page"><${Empty} title="No file at hand"><p>The configuration did not come from files.</p><//></div>`
  return html`<div class="page fill">
    ${c.refused && html`<${Problem} title=${`The files were changed and refused ${ago(c.refused.at)}; generation ${c.generation} stays in force`}>
      <ul class="problems">${refused.map((p) => html`<li><a class="mono" href="#" onClick=${(e) => { e.preventDefault(); stay({ file: p.file, line: p.line }) }}>${p.file}:${p.line}${p.column ? ':' + p.column : ''}</a> ${p.message}${p.hint && html` <span class="muted">(${p.hint})</span>`}</li>`)}</ul>${refused.length === 0 && html`<p class="mono small">${c.refused.error}</p>`}<//>`}
    <div class="files grow">
      <div class="file-list">${c.texts.map((t) => {
        const n = all.filter((p) => p.file === t.name).length
        return html`<button class="plain" aria-pressed=${t === text ? 'true' : 'false'} onClick=${() => stay({ file: t.name, line: '' })}><span class="clip" title=${t.name}>${t.name.replace(/^.*\//, '')}</span>${n > 0 && html`<span class="tag">${n}</span>`}</button>`
      })}
      ${all.length > 0 && html`<h3>Warnings and problems</h3>${all.map((p) => html`<button class="plain note" onClick=${() => stay({ file: p.file, line: p.line })}><span class=${p.warning ? 'warn' : 'bad'}><${Icon} name="warn" size=${13}/></span><span>${p.message}<span class="faint"> ${p.line ? 'line ' + p.line : ''}</span></span></button>`)}`}
      ${all.length === 0 && html`<p class="faint small quiet">No problems, no warnings.</p>`}</div>
      <${Text} key=${text.name} text=${text.text} problems=${all.filter((p) => p.file === text.name)} line=${line} name=${text.name}/>
    </div></div>`
}

const height = 20

// Text shows a file. Only the lines in sight are in the document; what is wrong
// with a line stands below it.
function Text({ text, problems, line, name }) {
  const ref = useRef()
  const [view, setView] = useState({ top: 0, size: 600 })
  const rows = useMemo(() => {
    const at = new Map()
    for (const p of problems) { const l = at.get(p.line || 1); if (l) l.push(p); else at.set(p.line || 1, [p]) }
    const out = []
    text.split('\n').forEach((t, i) => {
      out.push({ n: i + 1, t })
      for (const p of at.get(i + 1) || []) out.push({ p })
    })
    return out
  }, [text, problems])
  useEffect(() => {
    const el = ref.current
    const look = () => setView({ top: el.scrollTop, size: el.clientHeight })
    const o = new ResizeObserver(look)
    o.observe(el)
    el.addEventListener('scroll', look, { passive: true })
    return () => { o.disconnect(); el.removeEventListener('scroll', look) }
  }, [])
  useEffect(() => {
    const i = rows.findIndex((r) => r.n === line)
    if (i >= 0) ref.current.scrollTop = Math.max(0, i * height - ref.current.clientHeight / 3)
  }, [line, name])
  const first = Math.max(0, Math.floor(view.top / height) - 10), last = Math.min(rows.length, Math.ceil((view.top + view.size) / height) + 10)
  return html`<div class="text" ref=${ref} tabindex="0" role="region" aria-label=${'Text of ' + name}><div class="lines" style=${{ height: rows.length * height + 'px' }}>${rows.slice(first, last).map((r, k) => {
    const style = { top: (first + k) * height + 'px' }
    return r.p ? html`<div key=${'p' + (first + k)} style=${style} class=${'says ' + (r.p.warning ? 'warn' : 'bad')} data-problem>${' '.repeat(Math.max(0, (r.p.column || 1) - 1))}↑ ${r.p.message}${r.p.hint ? ' (' + r.p.hint + ')' : ''}</div>`
      : html`<div key=${r.n} style=${style} class=${'line-of' + (r.n === line ? ' here' : '')}><span class="no">${r.n}</span><code><${Line} text=${r.t}/></code></div>`
  })}</div></div>`
}

const hows = { start: 'start', reload: 'reload', 'files changed': 'files changed', rollback: 'rollback' }

// when is a time, with its day if that is not today.
const when = (t) => (new Date(t).toDateString() === new Date().toDateString() ? '' : date(t).slice(0, 10) + ' ') + clock(t)

function History({ place }) {
  const poll = usePoll('/api/history', pace.state)
  const [ask, setAsk] = useState(null)
  const h = poll.data
  const chosen = +place.query.get('generation') || (h && h.entries[0] && h.entries[0].generation)
  const against = +place.query.get('from') || 0
  const entry = h && h.entries.find((e) => e.generation === chosen)
  const roll = async (n) => {
    const s = await send('POST', '/api/rollback', { generation: n })
    toast(`What was generation ${n} is in force again, as generation ${s.generation}`)
    stay({ generation: '', from: '' })
    refresh()
  }
  return html`<${Waiting} poll=${poll}>${h && html`<div class="page fill"><div class="history grow">
    <ol class="card generations" aria-label="Generations">${h.entries.map((e) => html`<li class=${e.generation === chosen ? 'chosen' : ''}>
      <button class="plain" aria-pressed=${e.generation === chosen ? 'true' : 'false'} onClick=${() => stay({ generation: e.generation, from: '' })}>
        <b>${e.generation}</b><span>${e.generation === h.in_force ? html`<span class="tag on">in force</span>` : ''} ${hows[e.how] || e.how}${e.rolled_back_to ? ' to ' + e.rolled_back_to : ''}<span class="faint small block">${when(e.applied)} · ${whole(e.routes)} routes${e.changes ? ` · ${e.changes} ${e.changes === 1 ? 'change' : 'changes'}` : ''}</span></span>
        ${e.alarms > 0 && html`<span class="warn" title=${e.alarms + ' to look at'}><${Icon} name="warn" size=${14}/></span>`}</button></li>`)}</ol>
    <section class="card diff"><header><h2>${entry ? `Generation ${entry.generation}` : 'Generation'}</h2>
      ${entry && html`<div class="row"><label class="field inline">Compared with<select value=${against || ''} onChange=${(e) => stay({ generation: chosen, from: e.target.value })}><option value="">the one before</option>${h.entries.filter((e) => e.generation !== chosen).map((e) => html`<option value=${e.generation} selected=${e.generation === against}>generation ${e.generation}</option>`)}</select></label>
        ${entry.generation !== h.in_force && html`<button class="danger" onClick=${() => setAsk(entry.generation)}>Roll back to this</button>`}</div>`}</header>
      ${entry && html`<${Diff} n=${chosen} from=${against} entries=${h.entries}/>`}</section></div></div>`}
    ${ask != null && html`<${Confirm} title=${`Roll back to generation ${ask}?`} verb="Roll back" danger act=${() => roll(ask)} onClose=${() => setAsk(null)}>It is compiled and put in force as a whole; requests in flight end as they began. The files are not changed: it holds until they are, or until a reload is asked for.<//>`}<//>`
}

function Diff({ n, from, entries }) {
  const oldest = entries[entries.length - 1]
  const alone = !from && oldest && oldest.generation === n
  const poll = usePoll(alone ? null : `/api/history/${n}/diff${from ? '?from=' + from : ''}`, 60000)
  if (alone) return html`<${Empty} title="The first that is known"><p>History begins when the gateway starts. Change a file, and here stands what the change means.</p><//>`
  return html`<${Waiting} poll=${poll}>${poll.data && html`<${Changes} of=${poll.data.changes}/>`}<//>`
}
