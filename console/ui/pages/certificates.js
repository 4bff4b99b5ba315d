// What the listeners prove themselves with, and until when.
import { html } from '../html.js'
import { pace, usePoll } from '../live.js'
import { date, span } from '../format.js'
import { Empty, Facts, Head, Health, Waiting } from '../parts/parts.js'

const shown = ['names', 'domains', 'not_after', 'not_before', 'issuer', 'listener', 'subject', 'source', 'file', 'error', 'ocsp', 'serial']

// lifeOf says how much is left: [state, word, part that is left].
function lifeOf(c, now) {
  if (!c.not_after) return ['off', c.error || 'none yet', 0]
  const left = (Date.parse(c.not_after) - now) / 1000
  const whole = c.not_before ? (Date.parse(c.not_after) - Date.parse(c.not_before)) / 1000 : 90 * 86400
  if (left <= 0) return ['bad', 'expired ' + span(-left) + ' ago', 0]
  return [left < 7 * 86400 && left < whole / 4 ? 'bad' : left < whole / 4 ? 'warn' : 'well', span(left) + ' left', Math.min(1, left / whole)]
}

export function CertificatesPage() {
  const poll = usePoll('/api/certificates', pace.slow)
  const now = Date.now()
  return html`<${Head} title="Certificates"/>
    <${Waiting} poll=${poll}><div class="page">
      ${(poll.data || []).length === 0 && html`<section class="card"><${Empty} title="No certificates"><p>No listener speaks TLS. With <code>tls</code> a listener gets them from files, or from an authority by ACME:</p><pre tabindex="0">listen:
  public: { address: :443, tls: { acme: { domains: shop.example.com } } }</pre><//></section>`}
      <div class="cols">${[...(poll.data || [])].sort((a, b) => Date.parse(a.not_after || 0) - Date.parse(b.not_after || 0)).map((c) => {
        const [state, word, part] = lifeOf(c, now)
        const names = c.names || c.domains || (c.subject ? [c.subject] : [])
        return html`<section class="card certificate"><header><h2 class="mono">${names.slice(0, 3).join(', ') || 'certificate'}${names.length > 3 ? ` and ${names.length - 3} more` : ''}</h2><${Health} state=${[state, word]}/></header>
          <div class="body stack"><svg class="bar" width="100%" height="6" role="img" aria-label=${Math.round(100 * part) + ' % of its life is left'}><rect width="100%" height="6" rx="3" fill="var(--line)"/><rect width=${(100 * part).toFixed(1) + '%'} height="6" rx="3" fill=${{ well: 'var(--s1)', warn: 'var(--warn)' }[state] || 'var(--bad)'}/></svg>
          <${Facts} of=${[['Good until', c.not_after && date(c.not_after)], ['Since', c.not_before && date(c.not_before)], ['Issuer', c.issuer], ['Listener', c.listener],
            ['From', { file: c.file ? html`<span class="mono">${c.file}</span>` : 'a file', acme: 'an authority, by ACME', self_signed: 'made at start: no client can verify it' }[c.source] || c.source],
            ['OCSP', c.not_after && c.ocsp && c.ocsp.state !== 'none' ? `${c.ocsp.state}${c.ocsp.until ? ', until ' + date(c.ocsp.until) : ''}` : null], ['Serial', c.serial && html`<span class="mono wrap">${c.serial}</span>`],
            ...Object.entries(c).filter(([k, v]) => !shown.includes(k) && v !== '' && v != null && v !== false).map(([k, v]) => [k.replaceAll('_', ' '), Array.isArray(v) ? v.join(', ') : typeof v === 'object' ? JSON.stringify(v) : /T\d\d:/.test(v) ? date(v) : String(v)]),
            ['Problem', c.error && html`<span class="bad">${c.error}</span>`]]}/></div></section>`
      })}</div></div><//>`
}
