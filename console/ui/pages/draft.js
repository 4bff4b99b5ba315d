// A draft: texts that are not in force, what is wrong with them, and what they
// would change. The files are those of the machine: the gateway writes none.
import { html, useEffect, useRef, useState } from '../html.js'
import { send } from '../api.js'
import { Changes } from '../parts/changes.js'
import { Copy, Empty, Problem } from '../parts/parts.js'

// The drafts outlive the page, not the tab: a configuration may hold secrets.
const drafts = new Map()

export function Draft({ c }) {
  const first = c.texts[0] ? c.texts[0].name : 'gopura.yaml'
  const [name, setName] = useState(first)
  const [, redraw] = useState(0)
  const [state, setState] = useState({})
  const field = useRef()
  const inForce = (n) => (c.texts.find((t) => t.name === n) || { text: '' }).text
  const textOf = (n) => (drafts.has(n) ? drafts.get(n) : inForce(n))
  const covered = /\*{4,}/.test(textOf(name))
  const names = c.texts.length ? c.texts.map((t) => t.name) : [first]
  const edit = (text) => { if (text === inForce(name)) drafts.delete(name); else drafts.set(name, text); redraw((n) => n + 1) }
  const changed = names.some((n) => drafts.has(n))
  const key = JSON.stringify(names.map(textOf))
  useEffect(() => {
    if (!changed) return setState({})
    let gone = false
    const timer = setTimeout(async () => {
      setState((s) => ({ ...s, busy: true }))
      try {
        const said = await send('POST', '/api/check', { texts: names.map((n) => ({ name: n.replace(/^.*\//, ''), text: textOf(n) })) })
        if (!gone) setState({ said })
      } catch (error) { if (!gone) setState({ error }) }
    }, 500)
    return () => { gone = true; clearTimeout(timer) }
  }, [key, changed])
  const goTo = (p) => {
    const el = field.current, lines = el.value.split('\n')
    const at = lines.slice(0, Math.max(0, p.line - 1)).join('\n').length + (p.line > 1 ? 1 : 0) + Math.max(0, (p.column || 1) - 1)
    el.focus()
    el.setSelectionRange(at, at)
    el.scrollTop = Math.max(0, (p.line - 6) * 20)
  }
  const said = state.said
  return html`<div class="page fill"><div class="drafts grow">
    <section class="card draft"><header><h2>${names.length > 1 ? html`<label class="hidden-text" for="draft-file">File</label><select id="draft-file" value=${name} onChange=${(e) => setName(e.target.value)}>${names.map((n) => html`<option value=${n} selected=${n === name}>${n.replace(/^.*\//, '')}${drafts.has(n) ? ' (changed)' : ''}</option>`)}</select>` : name.replace(/^.*\//, '')}</h2>
      <div class="row"><${Copy} text=${textOf(name)} label="Copy the text"/><button disabled=${!drafts.has(name)} onClick=${() => edit(inForce(name))}>Begin anew</button></div></header>
      <textarea ref=${field} class="mono" aria-label=${'Draft of ' + name.replace(/^.*\//, '')} spellcheck="false" wrap="off" value=${textOf(name)} onInput=${(e) => edit(e.target.value)}></textarea></section>
    <section class="card verdict"><header><h2>What it would mean</h2><span class="muted small" role="status">${state.busy ? 'Checking …' : said ? (said.ok ? 'it can be put in force' : 'it would be refused') : ''}</span></header>
      <${Problem} error=${state.error}/>
      ${!changed && html`<${Empty} title="Nothing is changed yet"><p>Change the text, or paste another one: its problems and what it would change appear here. Nothing is put in force. When it is good, copy it into the file: the gateway takes that up, or <b>Reload</b> does.</p><//>`}
      ${covered && changed && html`<p class="note-line warn small">Secrets are covered by asterisks here: don’t copy those into the file.</p>`}
      ${said && said.problems.length > 0 && html`<ul class="problems" aria-label="Problems">${said.problems.map((p) => html`<li data-problem class=${p.warning ? 'warn' : 'bad'}><button class="link mono" onClick=${() => { const n = names.find((x) => x.replace(/^.*\//, '') === (p.file || '').replace(/^.*\//, '')); if (n && n !== name) setName(n); setTimeout(() => goTo(p), 0) }}>${p.line ? `line ${p.line}:${p.column || 1}` : 'as a whole'}</button> ${p.message}${p.hint && html` <span class="muted">(${p.hint})</span>`}</li>`)}</ul>`}
      ${said && said.not_looked_up && html`<p class="note-line muted small">Not looked up, since the configuration in force does not name it: <span class="mono">${said.not_looked_up.join(', ')}</span></p>`}
      ${said && said.not_read && html`<p class="note-line muted small">Not read, for the same reason: <span class="mono">${said.not_read.join(', ')}</span>. So it was read, and not compiled.</p>`}
      ${said && said.ok && html`<${Changes} of=${said.changes || []}/>`}
    </section></div></div>`
}
