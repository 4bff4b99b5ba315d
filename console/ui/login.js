// Who may look: the token of the admin listener, kept for as long as the tab.
import { html, useState } from './html.js'
import { get, setToken, ApiError } from './api.js'
import { Problem } from './parts/parts.js'

export function Login({ why, onDone }) {
  const [value, setValue] = useState('')
  const [error, setError] = useState(null)
  const [busy, setBusy] = useState(false)
  const submit = async (e) => {
    e.preventDefault()
    setBusy(true)
    setToken(value.trim())
    try {
      onDone(await get('/api/snapshot'))
    } catch (err) {
      setToken(null)
      setError(err.status === 401 ? new ApiError(401, err.code, 'This is not the token of this gateway.') : err)
      setBusy(false)
    }
  }
  return html`<main class="login"><form onSubmit=${submit} aria-labelledby="login-title">
    <img src="icon.svg" alt=""/>
    <h1 id="login-title">Gopura console</h1>
    <p>${why || 'Enter the token of the admin listener: what admin.token says in the configuration.'}</p>
    <label class="field">Admin token<input type="password" name="token" value=${value} onInput=${(e) => { setValue(e.target.value); setError(null) }} autocomplete="current-password" autofocus required/></label>
    <${Problem} error=${error}/>
    <button class="primary" disabled=${busy || !value.trim()}>Log in</button>
    <p class="small">It stays in this tab until you close it or log out, and is sent to this address only.</p>
  </form></main>`
}

// Closed explains why there is nothing to log in to.
export function Closed({ error, again }) {
  const loopback = error.code === 'loopback_only'
  return html`<main class="login"><div class="card">
    <img src="icon.svg" alt=""/>
    <h1>${loopback ? 'This gateway has no admin token' : 'The gateway can’t be reached'}</h1>
    <p>${loopback ? 'Without admin.token only requests straight from its own machine are served. Set a token in the configuration, or come through a tunnel: ssh -L 9900:127.0.0.1:9900 the-machine.' : error.detail}</p>
    <button onClick=${again}>Try again</button>
  </div></main>`
}
