import { html, render } from './html.js'
import { Console } from './shell.js'

render(html`<${Console}/>`, document.getElementById('console'))
