// What a configuration does differently from another, as gopura diff says it.
import { html } from '../html.js'
import { brief } from '../place.js'
import { Empty, Icon } from './parts.js'

const signs = { added: '+', removed: '−', changed: '~' }

export const Changes = ({ of }) => html`<div class="body changes" tabindex="0" role="region" aria-label="Changes">${of.length === 0 ? html`<${Empty} title="No difference in meaning"><p>Comments, order or spelling may differ.</p><//>`
  : of.map((c) => html`<div class=${'change-of ' + c.kind}><div class="line"><span class="sign mono" role="img" aria-label=${c.kind}>${signs[c.kind]}</span><b>${c.what}</b>${(c.alarms || []).map((a) => html`<span class="tag alarm"><${Icon} name="warn" size=${12}/> ${a}</span>`)}${c.origin && html`<span class="mono faint" title=${c.origin}>${brief(c.origin)}</span>`}</div>
    ${(c.details || []).map((d) => html`<div class="detail-of mono"><span class="muted">${d.path}</span>${d.old && html`<div class="minus">− ${d.old}</div>`}${d.new && html`<div class="plus">+ ${d.new}</div>`}</div>`)}</div>`)}</div>`
