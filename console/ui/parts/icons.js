// Small drawings, 16 by 16, in the colour of the text.
import { html } from '../html.js'

const shapes = {
  map: ['M2 3.5h3.5v3H2zM10.500 2H14v3h-3.500zM10.500 11H14v3h-3.500zM5.500 5h2.500v7.500h2.500M8 5V3.500h2.500'],
  routes: ['M2 4h3.500c4 0 1.500 8 6 8H14M11.700 9.700 14 12l-2.300 2.300M8.500 4H14M11.700 1.700 14 4l-2.300 2.300'],
  services: ['M2.500 2.500h11v4h-11zM2.500 9.500h11v4h-11zM5 4.500h.01M5 11.500h.01'],
  clients: ['M5.800 7.500a2.600 2.600 0 1 0 0-5.200 2.600 2.600 0 0 0 0 5.200M1.500 13.500c.2-2.800 1.800-4 4.300-4s4.100 1.200 4.300 4M10.800 2.600a2.500 2.500 0 0 1 0 4.700M12.200 9.800c1.400.5 2.200 1.700 2.300 3.700'],
  exchanges: ['M2 5h11M10.300 2.300 13 5l-2.700 2.700M14 11H3M5.700 8.300 3 11l2.700 2.700'],
  try: ['M4 2.500 13 8l-9 5.500z'],
  configuration: ['M4 1.800h5.500L12.500 5v9.200H4zM9.300 2v3.200h3M6.300 8.200h4M6.300 11h4'],
  limits: ['M2.200 12.500a6.300 6.300 0 1 1 11.600 0M8 10.500l3-4M8 11.300h.01'],
  certificates: ['M8 1.800 13 3.600v4.200c0 3.200-2 5.300-5 6.400-3-1.100-5-3.200-5-6.400V3.600zM5.800 8l1.600 1.600 2.900-3.200'],
  search: ['M7 11.800A4.800 4.800 0 1 0 7 2.200a4.800 4.800 0 0 0 0 9.600M10.500 10.500 14 14'],
  sun: ['M8 10.800a2.800 2.800 0 1 0 0-5.600 2.800 2.800 0 0 0 0 5.600M8 1.500v1.200M8 13.300v1.200M1.500 8h1.200M13.300 8h1.200M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9'],
  moon: ['M13.200 9.700A5.700 5.700 0 0 1 6.300 2.800a5.700 5.700 0 1 0 6.900 6.900'],
  out: ['M6.500 2.500H3v11h3.500M7 8h7M11.500 5.500 14 8l-2.500 2.500'],
  close: ['M4 4l8 8M12 4l-8 8'],
  pause: ['M5.500 3v10M10.500 3v10'],
  up: ['M8 12.500v-9M4.500 7 8 3.500 11.500 7'],
  down: ['M8 3.500v9M4.500 9 8 12.500 11.500 9'],
  lock: ['M4 7.500h8v6H4zM5.700 7.500V5.200a2.300 2.300 0 0 1 4.600 0v2.300'],
  warn: ['M8 2.500 14.300 13.500H1.700zM8 6.500v3M8 11.600h.01'],
  plus: ['M8 3v10M3 8h10'],
  clear: ['M3 3l10 10M8 13.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11'],
  help: ['M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M6.300 6.300c.2-1 .8-1.500 1.700-1.500 1 0 1.700.6 1.700 1.500 0 1.300-1.600 1.300-1.700 2.700M8 11.200h.01'],
}

export const Icon = ({ name, size = 16 }) => html`<svg width=${size} height=${size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.400" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${shapes[name].map((d) => html`<path d=${d}/>`)}</svg>`

// Shape says a state without colour: a full disc, a ring, a triangle, a square.
export function Shape({ state, size = 10 }) {
  const colour = { well: 'var(--well)', warn: 'var(--warn)', bad: 'var(--bad)' }[state] || 'var(--faint)'
  return html`<svg width=${size} height=${size} viewBox="0 0 10 10" aria-hidden="true">${
    state === 'well' ? html`<circle cx="5" cy="5" r="4" fill=${colour}/>`
      : state === 'warn' ? html`<path d="M5 .6 9.700 9.300H.3z" fill=${colour}/>`
      : state === 'bad' ? html`<path d="M1 1h8v8H1z" fill=${colour}/>`
      : html`<circle cx="5" cy="5" r="3.400" fill="none" stroke=${colour} stroke-width="1.500"/>`}</svg>`
}
