// The console in a browser, against a real gateway with real traffic:
//
//	make test-ui
//
// One browser and one gateway serve all tests, which run in the order of this
// file, as a person would work.
'use strict'
const { after, before, test } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const { open } = require('drive')
const { issue } = require('./certificates.js')
const { Gateway, demoEnv, gopura, stopAll, until } = require('./gateways.js')

const token = 'sesame-open-7'
const hostile = '"><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
const axeSource = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

let gateway, browser, page, stopTraffic, demo

const shopText = () => execFileSync(gopura, ['demo', '--print'], { encoding: 'utf8' })
  .replace(/^admin: .*$/m, `admin: { address: "\${env:DEMO_ADMIN}", token: "\${file:token}" }`)
  .replace(/^routes:$/m, `routes:\n  - name: '${hostile.replaceAll("'", "''")}'\n    match: GET /hostile/*\n    to: echo\n`)

before(async () => {
  demo = await demoEnv()
  gateway = await Gateway.start(shopText(), demo, token)
  stopTraffic = gateway.traffic([
    ['/users/42'], ['/users/42/orders'], ['/profile/42'], ['/users/43/reviews'], ['/nothing/here'], ['/echo?a=1'], ['/account'], ['/users'],
    ['/hostile/' + encodeURIComponent(hostile), { headers: { 'User-Agent': hostile, Referer: 'http://x/' + hostile } }], ['/users/42'],
  ], 50)
  browser = await open()
  page = await newPage({})
}, { timeout: 60000 })

after(async () => {
  if (stopTraffic) stopTraffic()
  if (browser) await browser.close()
  await stopAll()
  if (gateway) fs.rmSync(gateway.dir, { recursive: true, force: true })
})

// newPage watches for violations of the policy, which the console must not have.
async function newPage(settings) {
  const p = await browser.page(settings)
  await p.addInitScript(() => { window.violations = []; addEventListener('securitypolicyviolation', (e) => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber)) })
  return p
}

const at = (p, hash) => p.evaluate((h) => { location.hash = h }, hash)
// stopped keeps what was complained about, but that a gateway which is gone does not answer.
const complaints = []
const stopped = () => complaints.push(...browser.complaints().filter((c) => !/^Failed to load resource: net::ERR_/.test(c.text)))
const number = (text) => parseFloat(text.replace('k', 'e3'))
const logIn = async (p, g = gateway) => {
  await p.goto(g.admin + '/console/')
  await p.fill('input[name=token]', token)
  await p.click('text=Log in')
  await p.waitForSelector('nav[aria-label=Pages]')
}

test('a wrong token is told so, the right one opens', async () => {
  await page.goto(gateway.admin + '/console/#/routes')
  await page.fill('input[name=token]', 'guess')
  await page.click('text=Log in')
  assert.match(await page.textContent('[role=alert]'), /not the token of this gateway/)
  await page.fill('input[name=token]', token)
  await page.keyboard.press('Enter')
  await page.waitForSelector('h1:has-text("Routes")') // where one wanted to go
  assert.equal(await page.evaluate(() => sessionStorage.getItem('gopura.token')), token)
  assert.equal(await page.evaluate(() => document.cookie + Object.values(localStorage).join() + location.href.replace(location.origin, '')).then((s) => s.includes(token)), false)
  await page.reload()
  await page.waitForSelector('h1:has-text("Routes")') // the session holds
})

test('the map shows the architecture, and what flows', async () => {
  await at(page, '#/map')
  await page.waitForSelector('[data-node="route:GET /profile/{id}"]')
  for (const id of ['client', 'listener:default', 'service:users', 'service:tips']) assert.ok(await page.$(`[data-node="${id}"]`), id)
  assert.equal(await page.locator('.node.target').count(), 9)
  // A composed route fans out to what it calls.
  for (const s of ['users', 'orders', 'reviews', 'tips']) assert.ok(await page.$(`[data-edge="route:GET /profile/{id}>service:${s}"]`), s)
  const total = page.locator('[data-total]')
  await until('the total is about what is sent', async () => number(await total.textContent()) > 20)
  const first = await page.locator('.totals').textContent()
  await until('the numbers move', async () => (await page.locator('.totals').textContent()) !== first)
  assert.ok(await page.$('[data-edge="route:GET /profile/{id}>service:tips"] .run'), 'traffic on the edge')
  await page.click('[data-node="route:GET /profile/{id}"]')
  await page.waitForSelector('.inspector >> text=Everything about this route')
  assert.ok(await page.$('.node.out[data-node="service:echo"]'), 'what has nothing to do with it steps back')
  await page.keyboard.press('Escape')
  await page.waitForSelector('.inspector', { state: 'detached' })
  await page.fill('[data-search]', 'tips')
  await page.waitForSelector('[data-node="service:echo"]', { state: 'detached' })
  assert.ok(await page.$('[data-node="route:GET /profile/{id}"]'))
  await page.fill('[data-search]', '')
})

test('routes: filter, sort, and everything about one', async () => {
  await at(page, '#/routes')
  await page.waitForSelector('.grid .item >> text="/users/{id}"')
  await page.keyboard.press('/')
  await page.keyboard.type('orders')
  await until('only those that fit', async () => await page.locator('.grid .item').count() === 4) // by path or service; and the composed one
  await page.fill('[data-search]', '')
  await page.click('[role=columnheader] >> text=Route')
  assert.equal(await page.getAttribute('[role=columnheader]:has-text("Route")', 'aria-sort'), 'ascending')
  await at(page, '#/routes/' + encodeURIComponent('GET /users/{id}'))
  await page.waitForSelector('.uplot canvas')
  await until('its numbers', async () => number(await page.locator('.tiles dd').first().textContent()) > 0)
  assert.match(await page.textContent('.source'), /match: GET \/users\/\{id\}/)
  assert.match(await page.textContent('.card:has(h2:text("Policies"))'), /headers.*gopura\.yaml:\d+/)
})

test('a target is drained and enabled', async () => {
  await at(page, '#/services/users')
  await page.click('button:has-text("Drain") >> nth=0')
  await page.waitForSelector('dialog >> text=gets no new requests')
  await page.click('dialog button:has-text("Drain")')
  await page.waitForSelector('td >> text=drained')
  const drained = async () => (await gateway.api('/api/services', token)).body.find((s) => s.name === 'users').targets.map((t) => t.status).sort().join()
  assert.equal(await drained(), 'drained,up')
  await page.click('button:has-text("Enable")')
  await until('it is up again', async () => await drained() === 'up,up')
  await page.waitForSelector('td >> text=drained', { state: 'detached' })
})

test('clients are counted', async () => {
  await at(page, '#/clients')
  await until('the one client', async () => /127\.0\.0\.1/.test(await page.textContent('.grid')))
  await until('with requests', async () => number((await page.locator('.grid .item .num').nth(1).textContent()).replace(',', '')) > 10)
  await until('and latencies', async () => /\d ms/.test(await page.textContent('.grid .item')))
  await page.click('.grid .item >> nth=0')
  await page.waitForSelector('h1:has-text("127.0.0.1")')
  await page.waitForSelector('.uplot canvas')
  await until('its numbers', async () => number(await page.locator('.tiles dd').first().textContent()) > 0)
  assert.match(await page.textContent('.tiles'), /p99\s*[\d.]+ ms/)
})

test('the tail: live, filtered, paused, explained, and never markup', async () => {
  await at(page, '#/exchanges')
  await until('exchanges come', async () => await page.locator('.grid .item').count() > 10)
  await page.fill('[aria-label^="Status"]', '404')
  await page.waitForTimeout(900)
  await until('only 404', async () => {
    const codes = await page.locator('.grid .item .code').allTextContents()
    return codes.length > 1 && codes.every((c) => c === '404')
  })
  await page.fill('[aria-label^="Status"]', 'no status')
  await page.waitForSelector('.problem')
  await page.fill('[aria-label^="Status"]', '')
  await page.fill('[aria-label^="Path"]', '/hostile')
  await until('the hostile ones', async () => /%3Cimg|<img/.test(await page.textContent('.grid')))
  await page.click('.grid .item >> nth=0')
  await page.waitForSelector('.detail >> text=User agent')
  const said = await page.textContent('.detail')
  assert.ok(said.includes('<script>window.hacked=2</script>'), 'the text is shown as it is')
  assert.equal(await page.evaluate(() => window.hacked), undefined)
  assert.equal(await page.locator('.detail img, .grid img, .detail script').count(), 0)
  await page.click('.detail >> text=Explain >> nth=0')
  await page.waitForSelector('.explanation >> text=takes it')
  assert.match(await page.textContent('.kind.fact'), /record of this request/)
  assert.match(await page.textContent('.kind.rehearsed'), /did not happen/)
  assert.match(await page.textContent('.known'), /Route.*the same/s)
  await page.keyboard.press('Escape')
  await page.fill('[aria-label^="Path"]', '/account')
  await page.click('.grid .item:has-text("/account") >> nth=0')
  await page.click('.detail >> text=Explain >> nth=0')
  await page.waitForSelector('.explanation >> text=identity_required')
  assert.match(await page.textContent('.known'), /identity_required, by the client\s*the same.*none was asked\s*the same/s, 'what agrees is not said to differ')
  await page.keyboard.press('Escape')
  await page.fill('[aria-label^="Path"]', '')
  await until('it goes on', async () => await page.locator('.grid .item').count() > 5)
  await page.locator('h1').click()
  await page.keyboard.press('p')
  await page.waitForSelector('text=Paused')
  const frozen = await page.textContent('.grid .rows')
  await page.waitForTimeout(700)
  assert.equal(await page.textContent('.grid .rows'), frozen)
  await page.keyboard.press('p')
  await until('it has caught up', async () => await page.textContent('.grid .rows') !== frozen)
})

test('the map and the routes show hostile names as text', async () => {
  for (const hash of ['#/map', '#/routes', '#/routes/' + encodeURIComponent(hostile), '#/map?at=' + encodeURIComponent('route:' + hostile)]) {
    await at(page, hash)
    await page.waitForTimeout(300)
    assert.equal(await page.evaluate(() => window.hacked), undefined)
    assert.equal(await page.locator('main img, main script').count(), 0, hash)
  }
})

test('a request is tried, with its answer and its reasons', async () => {
  await at(page, '#/try?path=/users/42')
  await page.fill('[name=path]', '/users/42')
  await page.click('button:has-text("Send")')
  await page.waitForSelector('.answer >> text=200')
  assert.match(await page.textContent('.answer pre'), /Asha Raman/)
  await page.waitForSelector('.explanation >> text=takes it')
  await page.fill('[name=headers]', 'this is none')
  await page.click('button:has-text("Send")')
  assert.match(await page.textContent('[role=alert]'), /no header field/)
  await page.fill('[name=headers]', '')
  await page.fill('[name=path]', '/account')
  await page.click('button:has-text("Send")')
  await page.waitForSelector('.answer >> text=401')
  await page.waitForSelector('.explanation >> text=identity_required')
})

test('configuration: a problem stands at its line; history, difference, rollback', async () => {
  const good = gateway.text
  await at(page, '#/configuration')
  await page.waitForSelector('.text >> text=# A small shop behind one address.')
  gateway.write(good.replace('to: orders\n', 'to: order\n'))
  await page.click('button:has-text("Reload")')
  await page.waitForSelector('.banner >> text=was refused')
  await page.waitForSelector('[data-problem].bad')
  assert.match(await page.textContent('[data-problem].bad'), /order/)
  gateway.write(good.replace('timeout: 3s', 'timeout: 4s'))
  await page.click('button:has-text("Reload")')
  await until('the next generation', async () => (await gateway.api('/api/snapshot', token)).body.generation === 2)
  await page.waitForSelector('.banner', { state: 'detached' })
  await page.click('button:has-text("History")')
  await page.waitForSelector('.changes >> text=4s')
  await page.click('.generations button >> nth=1')
  await page.click('button:has-text("Roll back to this")')
  await page.click('dialog button:has-text("Roll back")')
  await page.waitForSelector('.banner >> text=Rolled back to generation 1')
  const routes = (await gateway.api('/api/routes', token)).body
  assert.equal(routes.find((r) => r.name === 'GET /users/{id}/reviews').timeout, '3s')
  gateway.write(good)
})

test('a draft: its problems, and what it would change', async () => {
  await at(page, '#/configuration?tab=draft')
  const field = page.locator('.draft textarea')
  await field.waitFor()
  const text = await field.inputValue()
  assert.equal(await page.locator('.verdict [data-problem].bad').count(), 0)
  await field.fill(text.replace('to: orders\n', 'to: order\n'))
  await page.waitForSelector('.verdict [data-problem].bad')
  assert.match(await page.textContent('.verdict'), /order.*orders/s)
  await page.click('.verdict [data-problem].bad button')
  await page.waitForFunction(() => document.activeElement.tagName === 'TEXTAREA')
  await field.fill(text.replace('timeout: 3s', 'timeout: 7s').replace("    identity: { accept: members, forward: { X-User: sub } }\n", '').replace('rewrite: /users/{jwt.sub}', 'rewrite: /users/42'))
  await page.waitForSelector('.verdict .changes >> text=loses identity')
  assert.match(await page.textContent('.verdict .changes'), /3s.*7s/s)
  assert.match(await page.textContent('.verdict [role=status]'), /can be put in force/)
  assert.equal((await gateway.api('/api/configuration', token)).body.texts[0].text.includes('7s'), false, 'nothing is put in force')
  await page.click('button:has-text("Begin anew")')
  await page.waitForSelector('text=Nothing is changed yet')
})

test('limits: the busiest keys, one begins anew', async () => {
  await at(page, '#/limits')
  await page.waitForSelector('td >> text=127.0.0.1')
  await page.click('button:has-text("Reset") >> nth=0')
  await page.click('dialog button:has-text("Reset")')
  await page.waitForSelector('.toast >> text=begins anew')
  await at(page, '#/certificates')
  await page.waitForSelector('text=No certificates')
})

test('by keyboard alone', async () => {
  await at(page, '#/map')
  await page.waitForSelector('h1:has-text("Map")')
  await page.keyboard.press('Escape') // out of the search, should one be in it
  await page.keyboard.press('g')
  await page.keyboard.press('r')
  await page.waitForSelector('h1:has-text("Routes")')
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1')
  await page.keyboard.press('?')
  await page.waitForSelector('dialog >> text=Keys')
  await page.keyboard.press('Escape')
  await page.waitForSelector('dialog', { state: 'detached' })
  await page.focus('.grid')
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForSelector('.crumb >> text=Routes')
  const theme = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const before = await theme()
  await page.keyboard.press('t')
  assert.notEqual(await theme(), before)
  await page.keyboard.press('t')
  assert.equal(await theme(), before)
})

const pages = ['#/map', '#/routes', '#/routes/' + encodeURIComponent('GET /users/{id}'), '#/services', '#/services/users', '#/clients', '#/clients/' + encodeURIComponent('client:127.0.0.1'), '#/exchanges', '#/try', '#/configuration', '#/configuration?tab=draft', '#/configuration?tab=history', '#/limits', '#/certificates']

test('axe finds nothing, in both themes', async () => {
  const p = await newPage({ colorScheme: 'light' })
  await p.goto(gateway.admin + '/console/')
  await p.waitForSelector('input[name=token]')
  await axe(p, 'login')
  await logIn(p)
  const look = async (what, settle = 400) => {
    await p.waitForTimeout(settle)
    await axe(p, what)
    await keep(p, what.replace(/[^a-z]+/g, '-'))
    // The other theme has other colours, and nothing else.
    await p.emulateMedia({ colorScheme: 'dark' })
    await p.waitForTimeout(50)
    await axe(p, what + ' in the dark', ['color-contrast'])
    await keep(p, what.replace(/[^a-z]+/g, '-') + '-dark')
    await p.emulateMedia({ colorScheme: 'light' })
  }
  for (const hash of pages) {
    await at(p, hash)
    await look(hash)
  }
  await at(p, '#/exchanges')
  await p.click('.grid .item >> nth=0')
  await look('an exchange')
  await p.click('.detail >> text=Explain >> nth=0')
  await p.waitForSelector('.kind.rehearsed')
  await look('an exchange explained')
  await at(p, '#/configuration?tab=draft')
  await p.fill('.draft textarea', (await p.inputValue('.draft textarea')).replace('timeout: 3s', 'timeout: 7s').replace('to: orders\n', 'to: order\n'))
  await p.waitForSelector('.verdict [data-problem]')
  await look('a draft that is refused')
  await p.fill('.draft textarea', (await p.inputValue('.draft textarea')).replace('to: order\n', 'to: orders\n').replace('identity: { accept: members', 'identity: { accept: members, mode: shadow'))
  await p.waitForSelector('.verdict .changes')
  await look('a draft')
  await at(p, '#/map?at=' + encodeURIComponent('service:users'))
  await p.waitForSelector('.inspector')
  await look('a box of the map')
  assert.deepEqual(await p.evaluate(() => window.violations), [])
  await p.context().close()
})

async function axe(p, what, rules) {
  await p.evaluate(axeSource + ';0')
  const found = await p.evaluate((only) => axe.run(document, { runOnly: only, resultTypes: ['violations'] }).then((r) => r.violations.map((v) => v.id + ': ' + v.help + ' ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + ' ' + ((n.any[0] || n.all[0] || {}).message || '')).join(' | '))),
    rules || ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
  assert.deepEqual(found, [], what)
}

test('on a telephone nothing is cut off', async () => {
  const p = await newPage({ viewport: { width: 390, height: 800 } })
  await logIn(p)
  for (const hash of pages) {
    await at(p, hash)
    await p.waitForTimeout(250)
    assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), hash + ' is wider than the screen')
    const room = await p.evaluate(() => [...document.querySelectorAll('.grid')].every((g) => g.scrollWidth <= g.clientWidth))
    assert.ok(room, hash + ': a table leaves out what has no room')
  }
  // On a tablet the pages are signs; who can't see them is told their names.
  await p.setViewportSize({ width: 1024, height: 768 })
  await at(p, '#/routes')
  await p.waitForSelector('.grid [role=columnheader]:has-text("p99")')
  await p.click('nav >> role=link[name="Limits and stores"]')
  await p.waitForSelector('h1:has-text("Limits and stores")')
  await axe(p, 'a tablet')
  await p.context().close()
})

test('certificates: good, soon over, over, and one that is still to come', async () => {
  const dir = fs.mkdtempSync(os.tmpdir() + '/gopura-certificates-')
  issue(dir, [['shop.example.com', 10, 80], ['soon.example.com', 85, 5], ['old.example.com', 90, -1]])
  const files = (name) => `{ cert: ${dir}/${name}.pem, key: ${dir}/${name}.key }`
  const tls = await Gateway.start(`listen:
  public: { address: "\${env:DEMO_LISTEN}", tls: { certificates: [${['shop', 'soon', 'old'].map((n) => files(n + '.example.com')).join(', ')}] } }
  automatic: { address: "127.0.0.1:0", tls: { acme: { domains: new.example.com, ca: "https://127.0.0.1:1/directory", storage: ${dir}/acme } } }
admin: { address: "\${env:DEMO_ADMIN}", token: "\${file:token}" }
access_log: off
routes: [{ match: /*, answer: 204 }]
`, {}, token)
  const p = await newPage({ colorScheme: 'light', viewport: { width: 1280, height: 820 } })
  await logIn(p, tls)
  await at(p, '#/certificates')
  await p.waitForSelector('.certificate')
  const said = async (name) => (await p.textContent(`.certificate:has(h2:has-text("${name}"))`)).replace(/\s+/g, ' ')
  assert.match(await said('shop.example.com'), /79 days left.*Test Authority.*public.*shop\.example\.com\.pem/)
  assert.match(await said('soon.example.com'), /4 days left/)
  assert.match(await said('old.example.com'), /expired 24 h 0 min ago/)
  assert.match(await said('new.example.com'), /none yet.*by ACME/)
  assert.deepEqual(await p.locator('.certificate .health').evaluateAll((l) => l.map((e) => e.textContent.trim().split(' ')[0])), ['none', 'expired', '4', '79'], 'what needs care comes first')
  assert.equal(await p.locator('.certificate').count(), 4)
  await axe(p, 'certificates')
  await p.emulateMedia({ colorScheme: 'dark' })
  await axe(p, 'certificates in the dark', ['color-contrast'])
  await keep(p, 'certificates')
  await p.context().close()
  await tls.stop()
  stopped()
  fs.rmSync(dir, { recursive: true, force: true })
})

// keep writes a picture for whoever wants to look (SHOTS names a folder).
const keep = async (p, name) => { if (process.env.SHOTS) await p.screenshot({ path: `${process.env.SHOTS}/${name}.png` }) }

test('1,000 routes are quick', async () => {
  let text = `listen: "\${env:DEMO_LISTEN}"\nadmin: { address: "\${env:DEMO_ADMIN}", token: "\${file:token}" }\naccess_log: off\nservices:\n`
  for (let i = 0; i < 120; i++) text += `  svc-${i}: [http://127.0.0.1:${20000 + i}, http://127.0.0.1:${21000 + i}]\n`
  text += 'routes:\n'
  for (let i = 0; i < 1000; i++) text += `  - { match: "GET /api/team-${i % 17}/thing-${i}/{id}", to: svc-${i % 120} }\n`
  const big = await Gateway.start(text, {}, token)
  const p = await newPage({})
  await logIn(p, big)
  await p.waitForSelector('.node.route')
  assert.ok(await p.locator('.node').count() < 200, 'few boxes stand for many routes')
  await p.waitForTimeout(1000)
  const took = {}
  took['filter the map'] = await interact(p, () => type('[data-search]', 'thing-77'))
  await p.waitForSelector('[data-node="route:GET /api/team-9/thing-77/{id}"]')
  await p.fill('[data-search]', '')
  took['choose a box'] = await interact(p, () => document.querySelector('.node.route').click())
  await at(p, '#/routes')
  await p.waitForSelector('.grid .item')
  await p.waitForTimeout(500)
  assert.ok(await p.locator('.grid .item').count() < 80, 'only rows in sight are in the document')
  took['filter routes'] = await interact(p, () => type('[data-search]', 'team-3/'))
  took['sort routes'] = await interact(p, () => document.querySelector('[role=columnheader] button').click())
  await p.fill('[data-search]', '')
  took['scroll routes'] = await interact(p, () => { document.querySelector('.grid').scrollTop = 20000 })
  took['go to services'] = await interact(p, () => { location.hash = '#/services' })
  for (const hash of ['#/map', '#/routes', '#/services', '#/configuration', '#/configuration?tab=draft']) {
    await at(p, hash)
    await p.waitForTimeout(400)
    await axe(p, hash + ' with 1,000 routes')
    await p.emulateMedia({ colorScheme: 'dark' })
    await axe(p, hash + ' with 1,000 routes in the dark', ['color-contrast'])
    await p.emulateMedia({ colorScheme: 'light' })
  }
  await big.stop()
  await p.waitForSelector('.banner >> text=does not answer', { timeout: 12000 })
  stopped()
  await p.context().close()
  console.log('# milliseconds: ' + Object.entries(took).map(([k, v]) => `${k} ${v.toFixed(0)}`).join(', '))
  for (const [what, ms] of Object.entries(took)) assert.ok(ms < 100, `${what} took ${ms} ms`)
})

// interact measures how long an act keeps the page from doing anything else, in
// time of its processor, since the machine has other things to do.
async function interact(p, act) {
  const name = await named(p, act)
  const session = await p.context().newCDPSession(p)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  const busy = async () => 1000 * (await session.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value
  let best = Infinity
  for (let i = 0; i < 3; i++) {
    const begin = await busy()
    await p.evaluate(async (name) => {
      window.type = (selector, text) => { const el = document.querySelector(selector); el.value = text + (el.value === text ? ' ' : ''); el.dispatchEvent(new Event('input', { bubbles: true })) }
      window.acts[name]()
      await new Promise((r) => requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = r; c.port2.postMessage(0) }))
    }, name)
    best = Math.min(best, await busy() - begin)
    await p.waitForTimeout(80)
  }
  await session.detach()
  return best
}

// named puts an act into the page under a name: the page's policy allows no eval.
let acts = 0
async function named(p, act) {
  const name = 'act' + ++acts
  await p.evaluate(`(window.acts ||= {}).${name} = ${act}; 0`)
  return name
}

test('a token that is changed ends the session, and says so', async () => {
  await at(page, '#/services')
  await page.waitForSelector('.grid .item')
  fs.writeFileSync(gateway.dir + '/token', 'sesame-close-8')
  await gateway.api('/api/reload', token, { method: 'POST' })
  await page.waitForSelector('text=no longer accepted')
  await page.fill('input[name=token]', 'sesame-close-8')
  await page.click('text=Log in')
  await page.waitForSelector('h1:has-text("Services")') // where one was
  await page.click('[aria-label="Log out"]')
  await page.waitForSelector('text=You have logged out')
  assert.equal(await page.evaluate(() => sessionStorage.getItem('gopura.token')), null)
})

test('nothing was complained about', async () => {
  assert.deepEqual(await page.evaluate(() => window.violations), [])
  // The browser notes every answer that is no success; these were asked for.
  const expected = [/status of 401/, /status of 422/, /status of 400 .*/, /status of 404/]
  const rest = [...complaints, ...browser.complaints()].filter((c) => !(c.kind === 'console' && /^Failed to load resource/.test(c.text) && /\/api\//.test(c.url) && expected.some((e) => e.test(c.text))))
  assert.deepEqual(rest, [])
})
