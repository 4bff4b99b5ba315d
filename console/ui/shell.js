// The frame around all pages: who may look, navigation, banners, keys.
import { html, useCallback, useEffect, useRef, useState } from './html.js'
import { get, hasToken, onReach, onRefused, setToken } from './api.js'
import { drop, pace, usePoll } from './live.js'
import { go, href, usePlace } from './place.js'
import { listen, pages } from './keys.js'
import { ago, span } from './format.js'
import { Dialog, Empty, Head, Icon, Shape, Toasts } from './parts/parts.js'
import { Closed, Login } from './login.js'
import { MapPage } from './pages/map.js'
import { RoutesPage } from './pages/routes.js'
import { ServicesPage } from './pages/services.js'
import { ClientsPage } from './pages/clients.js'
import { ExchangesPage } from './pages/exchanges.js'
import { TryPage } from './pages/try.js'
import { ConfigurationPage } from './pages/configuration.js'
import { LimitsPage } from './pages/limits.js'
import { CertificatesPage } from './pages/certificates.js'

const content = {
  map: MapPage, routes: RoutesPage, services: ServicesPage, clients: ClientsPage, exchanges: ExchangesPage,
  try: TryPage, configuration: ConfigurationPage, limits: LimitsPage, certificates: CertificatesPage,
}

// Console asks whether one may look, and shows the login or the frame.
export function Console() {
  const [state, setState] = useState({ is: 'asking' })
  const ask = useCallback(async () => {
    try {
      await get('/api/snapshot')
      setState({ is: 'in' })
    } catch (error) {
      if (error.status === 401) setState({ is: 'login', why: null })
      else setState({ is: 'closed', error })
    }
  }, [])
  useEffect(() => { ask() }, [])
  useEffect(() => onRefused(() => setState((s) => {
    if (s.is !== 'in') return s
    drop()
    setToken(null)
    return { is: 'login', why: 'The token that you came with is no longer accepted: it has been changed. Enter the new one; you will be where you were.' }
  })), [])
  const leave = () => { drop(); setToken(null); setState({ is: 'login', why: 'You have logged out. The token is forgotten.' }) }
  switch (state.is) {
    case 'asking': return html`<div class="login" aria-busy="true"></div>`
    case 'login': return html`<${Login} why=${state.why} onDone=${() => setState({ is: 'in' })}/>`
    case 'closed': return html`<${Closed} error=${state.error} again=${ask}/>`
  }
  return html`<${Frame} leave=${leave}/>`
}

function Frame({ leave }) {
  const place = usePlace()
  const [help, setHelp] = useState(false)
  const snapshot = usePoll('/api/snapshot', pace.state)
  const main = useRef()
  useEffect(() => listen({ help: () => setHelp(true), theme: switchTheme, go }), [])
  const first = useRef(true)
  useEffect(() => {
    if (first.current) { first.current = false; return }
    const h = main.current.querySelector('h1')
    if (h) h.focus({ preventScroll: true })
  }, [place.page, place.name])
  const Page = content[place.page] || Nowhere
  return html`<div class="shell">
    <${Side} page=${place.page} snapshot=${snapshot} leave=${leave} help=${() => setHelp(true)}/>
    <main class="main" ref=${main}><${Banners} snapshot=${snapshot}/><${Page} key=${place.page} place=${place} snapshot=${snapshot.data}/></main>
    ${help && html`<${Help} onClose=${() => setHelp(false)}/>`}<${Toasts}/></div>`
}

function Side({ page, snapshot, leave, help }) {
  const s = snapshot.data
  const problems = s ? (s.warnings || []).length : 0
  const state = snapshot.error ? 'No answer' : s && s.draining ? 'Draining' : s && s.ready ? 'Serving' : 'Not ready'
  const nav = useRef()
  useEffect(() => { const at = nav.current.querySelector('[aria-current=page]'); if (at) at.scrollIntoView({ block: 'nearest', inline: 'nearest' }) }, [page])
  return html`<header class="side">
    <a class="brand" href=${href('map')} aria-label="Gopura: to the map"><img src="icon.svg" alt=""/><span>Gopura</span></a>
    <nav ref=${nav} aria-label="Pages">${pages.map(([id, title, letter]) => html`<a href=${href(id)} aria-label=${title} title=${title + ' (g ' + letter + ')'} aria-current=${id === page ? 'page' : undefined}><${Icon} name=${id}/><span class="clip">${title}</span>${
      id === 'configuration' && s && (s.last_error || problems > 0) ? html`<span class="mark" title=${s.last_error ? 'the last change was refused' : problems + ' warnings'}><${Shape} state=${s.last_error ? 'bad' : 'warn'} size=${9}/></span>` : html`<kbd aria-hidden="true">g ${letter}</kbd>`}</a>`)}</nav>
    <div class="gap"></div>
    ${s && html`<div class="status">
      <div class="live" title=${state}><${Shape} state=${snapshot.error ? 'bad' : s.draining ? 'warn' : 'well'}/><span>${state}</span></div>
      <div><span>Configuration</span><span title=${s.hash}>${s.generation}</span></div>
      <div><span>Up</span><span>${span((Date.now() - Date.parse(s.started)) / 1000)}</span></div>
      <div><span>Version</span><span class="clip">${s.version}</span></div>
    </div>`}
    <div class="tools"><${ThemeButton}/><button class="plain" title="Keys (?)" aria-label="Keys" onClick=${help}><${Icon} name="help"/></button>${
      hasToken() && html`<button class="plain" title="Log out" aria-label="Log out" onClick=${leave}><${Icon} name="out"/></button>`}</div>
  </header>`
}

function Banners({ snapshot }) {
  const [reachable, setReachable] = useState(true)
  useEffect(() => onReach(setReachable), [])
  const s = snapshot.data
  return html`${!reachable && html`<div class="banner bad" role="alert"><${Icon} name="warn"/>The gateway does not answer. What you see was true ${ago(snapshot.at)}; asking again.</div>`}
    ${s && s.draining && html`<div class="banner" role="status"><${Icon} name="warn"/>The gateway is shutting down: it ends what is in flight and accepts nothing new.</div>`}
    ${s && s.last_error && html`<div class="banner bad" role="status"><${Icon} name="warn"/><span class="clip">A changed configuration was refused ${ago(s.last_error_at)}; generation ${s.generation} stays in force.</span><a href=${href('configuration')}>See why</a></div>`}
    ${s && s.rolled_back && html`<div class="banner" role="status"><${Icon} name="warn"/><span class="clip">Rolled back to generation ${s.rolled_back.to}${s.rolled_back.reason ? ': ' + s.rolled_back.reason : ''}. It holds until the files change, or a reload is asked for.</span><a href=${href('configuration', null, { tab: 'history' })}>History</a></div>`}`
}

function dark() {
  const theme = document.documentElement.dataset.theme
  return theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
}

function switchTheme() {
  const next = dark() ? 'light' : 'dark'
  document.documentElement.dataset.theme = next
  try { localStorage.setItem('gopura.theme', next) } catch { /* for this page only, then */ }
  dispatchEvent(new Event('gopura-theme'))
}

function ThemeButton() {
  const [isDark, set] = useState(dark)
  useEffect(() => {
    const look = () => set(dark())
    addEventListener('gopura-theme', look)
    return () => removeEventListener('gopura-theme', look)
  }, [])
  const text = isDark ? 'Light theme' : 'Dark theme'
  return html`<button class="plain" title=${text + ' (t)'} aria-label=${text} onClick=${switchTheme}><${Icon} name=${isDark ? 'sun' : 'moon'}/></button>`
}

function Help({ onClose }) {
  const keys = [['/', 'search'], ['?', 'these keys'], ['t', 'dark or light'], ['p', 'pause the tail'], ['↑ ↓', 'move in a list'], ['Enter', 'open'], ['Esc', 'close'], ...pages.map(([, title, letter]) => ['g ' + letter, title])]
  return html`<${Dialog} label="Keys" wide onClose=${onClose}><div class="inner"><h2>Keys</h2>
    <div class="keys">${keys.map(([k, text]) => html`<span>${k.split(' ').map((x) => html`<kbd>${x}</kbd> `)}</span><span>${text}</span>`)}</div>
    <div class="acts"><button onClick=${onClose} autofocus>Close</button></div></div><//>`
}

function Nowhere() {
  return html`<${Head} title="Nothing here"/><div class="page"><${Empty} title="There is no such page"><p>Go back to <a href=${href('map')}>the map</a>.</p><//></div>`
}
