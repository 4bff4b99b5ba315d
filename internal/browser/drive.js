// What tests in a browser share: a Chromium of this machine, headless, and a
// watch over each page. NODE_PATH=$(scripts/browser) makes it require('drive').
//
//	const { open } = require('drive')
//	const browser = await open()
//	const page = await browser.page()       // a context of its own
//	…
//	browser.complaints()                    // console errors, CSP violations, failed requests
//	await browser.close()
'use strict'
const { existsSync } = require('node:fs')
const { chromium } = require('playwright-core')

const candidates = [process.env.GOPURA_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

// open starts the browser. Anything but loopback does not resolve, so that a
// test can't depend on the network without failing.
async function open(options = {}) {
  const browser = await chromium.launch({
    executablePath: candidates.find((path) => path && existsSync(path)),
    headless: true,
    ...options,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1', ...(options.args || [])],
  })
  const list = []
  return {
    browser,
    // page opens a tab that shares nothing with others; settings are those of
    // browser.newContext: viewport, colorScheme, …
    async page(settings = {}) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...settings })
      const page = await context.newPage()
      page.setDefaultTimeout(30000) // machines that build something else are slow
      page.on('console', (m) => { if (m.type() === 'error') list.push({ kind: 'console', text: m.text(), url: m.location().url }) })
      page.on('pageerror', (e) => list.push({ kind: 'exception', text: String(e.stack || e), url: page.url() }))
      page.on('request', (r) => {
        const { protocol, hostname } = new URL(r.url())
        if (protocol !== 'data:' && protocol !== 'blob:' && hostname !== 'localhost' && hostname !== '127.0.0.1') list.push({ kind: 'external', text: r.url(), url: page.url() })
      })
      return page
    },
    // complaints are the errors that pages had since the last call.
    complaints: () => list.splice(0),
    close: () => browser.close(),
  }
}

module.exports = { open }
