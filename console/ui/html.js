// What every component is written with: preact, its hooks, and templates that
// need no build. Text in a template becomes a text node, never markup.
import { h, render, Fragment } from './vendor/preact.js'
import htm from './vendor/htm.js'

export * from './vendor/hooks.js'
export { render, Fragment }
export const html = htm.bind(h)
