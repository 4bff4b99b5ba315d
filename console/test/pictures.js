// The pictures of the documentation; see scripts/console-pictures.
'use strict'
const { execFileSync } = require('node:child_process')
const { open } = require('drive')
const { Gateway, demoEnv, gopura, stopAll } = require('./gateways.js')

const out = process.argv[2]
const wait = (ms) => new Promise((r) => setTimeout(r, ms))
const path = (name) => '#/routes/' + encodeURIComponent(name)

async function main() {
  const text = execFileSync(gopura, ['demo', '--print'], { encoding: 'utf8' })
  const gateway = await Gateway.start(text, await demoEnv())
  let i = 0
  const paths = ['/users/42', '/users/43', '/users/42/orders', '/users/41/reviews', '/profile/42', '/products/tea-01', '/products', '/orders', '/echo?a=1', '/users', '/hello', '/profile/41', '/account', '/', '/products/tea-99', '/users/43/orders', '/nothing/here', '/members/42']
  const start = Date.now()
  let on = true
  const visit = () => {
    if (!on) return
    gateway.ask(paths[Math.floor(Math.random() ** 1.7 * paths.length)], { headers: { 'User-Agent': ['Firefox/145.0', 'curl/8.14.1', 'shop-app/4.2'][i++ % 3] } }).catch(() => {})
    setTimeout(visit, 1000 / (45 * (1 + 0.45 * Math.sin((Date.now() - start) / 40000))) * -Math.log(1 - Math.random()))
  }
  visit()
  await wait(60000 * process.env.MINUTES)
  gateway.write(text.replace('timeout: 3s', 'timeout: 2s').replace('    identity: { accept: members, forward: { X-User: sub } }\n', '').replace('rewrite: /users/{jwt.sub}', 'rewrite: /users/42'))
  await wait(2500)
  gateway.write(text)
  await wait(2500)
  const browser = await open()
  for (const theme of ['light', 'dark']) {
    const page = await browser.page({ colorScheme: theme, viewport: { width: 1280, height: 820 } })
    const shot = async (name, hash, settle = 2500, act) => {
      await page.goto('about:blank')
      await page.goto(gateway.admin + '/console/' + hash)
      await wait(settle)
      if (act) await act()
      await page.screenshot({ path: `${out}/console-${name}${theme === 'dark' ? '-dark' : ''}.png` })
    }
    await page.setViewportSize({ width: 1280, height: 940 }) // all of the demo's routes
    await shot('map', '#/map', 8000)
    await page.setViewportSize({ width: 1280, height: 820 })
    await shot('exchanges', '#/exchanges', 4000, async () => {
      await page.click('[data-pause]')
      await page.fill('[data-search]', '/account')
      await page.click('.grid .item:has-text("/account") >> nth=0')
      await page.fill('[data-search]', '')
      await page.click('.detail >> text=Explain >> nth=0')
      await page.waitForSelector('.explanation')
    })
    if (theme === 'dark') await shot('route', path('GET /profile/{id}'), 4000)
    else await shot('history', '#/configuration?tab=history&generation=2')
    await page.context().close()
  }
  await browser.close()
  on = false
  await gateway.stop()
  await stopAll()
}

main().catch((e) => { console.error(e); stopAll().finally(() => process.exit(1)) })
