// What the tests of the console run against: the demo's services, and a
// gateway of its own in front of them, with a file that tests may change.
'use strict'
const { spawn } = require('node:child_process')
const { generateKeyPairSync } = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')

const gopura = process.env.GOPURA
const children = []

// run starts gopura and resolves once it has said what is waited for.
function run(args, env, wanted, cwd) {
  const child = spawn(gopura, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  child.said = ''
  return new Promise((resolve, reject) => {
    const hear = (data) => { child.said = (child.said + data).slice(-100000); if (wanted && wanted.test(child.said)) resolve(child) }
    if (!wanted) resolve(child)
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.on('exit', (code) => reject(new Error(`gopura ${args.join(' ')} ended with ${code}: ${child.said}`)))
  })
}

function stop(child) {
  return new Promise((done) => { if (child.exitCode != null) return done(); child.on('exit', done); child.kill('SIGTERM'); setTimeout(() => child.kill('SIGKILL'), 4000).unref() })
}

const freePort = () => new Promise((resolve, reject) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)) })
  s.on('error', reject)
})

async function until(what, f, ms = 30000) {
  for (const end = Date.now() + ms; ;) {
    let last
    try { last = await f(); if (last) return last } catch (e) { last = e }
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms (${last})`)
    await new Promise((r) => setTimeout(r, 50))
  }
}

// demoEnv starts the demo and returns the variables that name its services.
async function demoEnv() {
  const demo = await run(['demo', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], {}, /admin listener is at (http:\S+)\./)
  const at = /admin listener is at (http:\S+)\./.exec(demo.said)[1]
  const services = await (await fetch(at + '/api/services')).json()
  const urls = Object.fromEntries(services.map((s) => [s.name, s.targets.map((t) => t.url)]))
  const { publicKey } = generateKeyPairSync('ed25519')
  return {
    USERS_A: urls.users[0], USERS_B: urls.users[1], ORDERS: urls.orders[0], REVIEWS_STEADY: urls.reviews[0], REVIEWS_FLAKY: urls.reviews[1],
    TIPS: urls.tips[0], CATALOG: urls.catalog[0], CATALOG_NEXT: urls.catalog_next[0], ECHO: urls.echo[0],
    ISSUER_KEY: JSON.stringify({ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'EdDSA' }),
  }
}

// Gateway is one that runs from a file.
class Gateway {
  static async start(text, env, token) {
    const g = new Gateway()
    g.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'gopura-console-'))
    g.file = path.join(g.dir, 'gopura.yaml')
    g.clientPort = await freePort()
    g.adminPort = await freePort()
    g.env = { ...env, DEMO_LISTEN: '127.0.0.1:' + g.clientPort, DEMO_ADMIN: '127.0.0.1:' + g.adminPort, DEMO_ACCESS_LOG: '/dev/null' }
    if (token) fs.writeFileSync(path.join(g.dir, 'token'), token)
    g.write(text)
    await g.up()
    return g
  }
  async up() {
    this.child = await run(['run', '-c', 'gopura.yaml'], this.env, null, this.dir)
    await until('the gateway is ready', async () => (await fetch(this.admin + '/readyz')).ok)
  }
  get admin() { return 'http://127.0.0.1:' + this.adminPort }
  get client() { return 'http://127.0.0.1:' + this.clientPort }
  write(text) { this.text = text; fs.writeFileSync(this.file + '.new', text); fs.renameSync(this.file + '.new', this.file) }
  // api asks the admin API past the browser, to see what is true.
  async api(p, token, init = {}) {
    const r = await fetch(this.admin + p, { ...init, headers: { ...(token ? { Authorization: 'Bearer ' + token } : {}), 'Gopura-Admin': '1', ...init.headers } })
    return { status: r.status, body: await r.json().catch(() => null) }
  }
  // ask sends a request whose path and fields go out as they are.
  ask(pathText, { method = 'GET', headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const q = http.request({ host: '127.0.0.1', port: this.clientPort, method, path: pathText, headers, agent: Gateway.agent }, (r) => { r.resume(); r.on('end', () => resolve(r.statusCode)) })
      q.on('error', reject)
      q.end(body)
    })
  }
  // traffic sends these again and again until the function returned is called.
  traffic(list, perSecond) {
    let i = 0
    const t = setInterval(() => { const [p, o] = list[i++ % list.length]; this.ask(p, o).catch(() => {}) }, 1000 / perSecond)
    return () => clearInterval(t)
  }
  async stop() { await stop(this.child); fs.rmSync(this.dir, { recursive: true, force: true }) }
}
Gateway.agent = new http.Agent({ keepAlive: true, maxSockets: 8 })

async function stopAll() { await Promise.all(children.map(stop)); Gateway.agent.destroy() }

module.exports = { Gateway, demoEnv, until, stopAll, gopura }
