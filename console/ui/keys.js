// Keys: / search, g and a letter to a page, t theme, ? help. Never while one
// writes, and never with a modifier.
export const pages = [
  ['map', 'Map', 'm'], ['routes', 'Routes', 'r'], ['services', 'Services', 's'], ['clients', 'Clients', 'c'], ['exchanges', 'Exchanges', 'e'],
  ['try', 'Try it', 't'], ['configuration', 'Configuration', 'f'], ['limits', 'Limits and stores', 'l'], ['certificates', 'Certificates', 'k'],
]

const writes = (el) => el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName))

// listen calls acts.help, acts.theme and acts.go(page); it returns the end of it.
export function listen(acts) {
  let g = 0
  const key = (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || writes(e.target) || document.querySelector('dialog[open]')) return
    if (Date.now() - g < 1500) {
      g = 0
      const page = pages.find(([, , letter]) => letter === e.key)
      if (page) { e.preventDefault(); acts.go(page[0]) }
      return
    }
    switch (e.key) {
      case 'g': g = Date.now(); break
      case '?': e.preventDefault(); acts.help(); break
      case 't': acts.theme(); break
      case '/': {
        const field = document.querySelector('[data-search]')
        if (field) { e.preventDefault(); field.focus(); field.select() }
        break
      }
      case 'p': { // pause, where something runs
        const button = document.querySelector('[data-pause]')
        if (button) button.click()
        break
      }
      case 'Escape': {
        const close = document.querySelector('[data-close]')
        if (close) close.click()
      }
    }
  }
  addEventListener('keydown', key)
  return () => removeEventListener('keydown', key)
}
