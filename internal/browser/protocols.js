// The gateway's protocols as a browser speaks them. gateway/browser_test.go
// starts the gateway and what is behind it, and runs this with GATE: the
// addresses, and the descriptors of the service.
'use strict'
const assert = require('node:assert/strict')
const { join } = require('node:path')
const esbuild = require('esbuild')
const { open } = require('drive')

const gate = JSON.parse(process.env.GATE)
const script = esbuild.buildSync({
  entryPoints: [join(__dirname, 'protocols-page.js')], bundle: true, write: false, format: 'iife', nodePaths: [process.env.NODE_PATH], logLevel: 'error',
}).outputFiles[0].text

async function main() {
  const browser = await open({ args: ['--ignore-certificate-errors'] })
  try {
    const on = async (origin) => {
      const page = await browser.page({ ignoreHTTPSErrors: true })
      await page.goto(origin + '/page')
      await page.addScriptTag({ content: script })
      return (name, what) => page.evaluate(([n, w]) => window[n](w), [name, what])
    }
    const own = await on(gate.secure) // HTTP/2
    const plain = await on(gate.plain) // HTTP/1.1, and another origin

    for (const protocol of ['grpc-web', 'connect', 'connect-json']) {
      for (const [where, page] of [['its own origin', own], ['another origin', plain]]) {
        const call = (more) => page('call', { descriptors: gate.descriptors, protocol, base: gate.secure, method: 'unaryCall', message: { payload: { body: 'AAAA' } }, ...more })
        const at = `${protocol} from ${where}`
        let got = await call({ message: { responseSize: 1 } }).catch((e) => ({ thrown: String(e) }))
        assert.equal(got.head, 'begin', `${at}: ${JSON.stringify(got)}`)
        assert.equal(got.tail, 'end, and more', `${at}: ${JSON.stringify(got)}`)
        got = await call({ method: 'streamingOutputCall', message: { responseParameters: [{ size: 1 }, { size: 70000 }, { size: 0 }] } })
        assert.deepEqual(got.messages, [1, 70000, 0], at)
        for (const method of ['unaryCall', 'streamingOutputCall']) {
          got = await call({ method, outcome: 'error', message: {} })
          assert.equal(got.code, 'FailedPrecondition', at)
          assert.equal(got.message, 'no tea ☕ today', at)
          assert.deepEqual(got.details, ['google.rpc.BadRequest'], at)
          got = await call({ method, outcome: 'deadline', message: {}, timeoutMs: 200 })
          assert.equal(got.code, 'DeadlineExceeded', at)
          got = await call({ method, outcome: 'cancel', message: {}, cancelAfter: 100 })
          assert.equal(got.code, 'Canceled', at)
        }
      }
    }
    console.log('ok calls')

    const wss = gate.secure.replace('https', 'wss')
    let got = await own('socket', { url: wss + '/ws', say: ['hello', '', 1000], closeAfter: 3 })
    assert.deepEqual(got, { heard: ['hello', '', 1000], code: 1000, reason: 'enough', clean: true, protocol: '' })
    got = await own('socket', { url: wss + '/ws', say: [70000] })
    assert.equal(got.code, 1009)
    got = await own('socket', { url: wss + '/ws', say: ['x'] })
    assert.deepEqual([got.code, got.reason], [1001, 'there was no message for too long'])
    got = await plain('socket', { url: wss + '/ws', say: [] })
    assert.equal(got.code, 1006, 'a page of another origin')
    got = await plain('socket', { url: gate.plain.replace('http', 'ws') + '/anyone', say: ['over HTTP/1.1'], closeAfter: 1 })
    assert.equal(got.heard[0], 'over HTTP/1.1')
    console.log('ok sockets')

    const message = '{"payload":{"body":"dGVh"}}'
    got = await own('socket', { url: wss + '/chat', protocols: ['json'], say: [message, message, ''] })
    assert.deepEqual(got, { heard: [message, message], code: 1000, reason: '', clean: true, protocol: 'json' })
    got = await own('socket', { url: wss + '/chat', say: ['{"payload":7}'] })
    assert.equal(got.code, 4003)
    assert.match(got.heard[0], /grpc_invalid_argument/)
    console.log('ok calls over sockets')

    for (const [where, page] of [['HTTP/2', own], ['HTTP/1.1', plain]]) {
      got = await page('events', { url: '/events', count: 6 })
      assert.deepEqual(got.heard, ['1=a', '2=b', '3=a', '4=b', '5=a', '6=b'], where)
      assert.ok(got.opened >= 3, `${where}: connected ${got.opened} times`)
    }
    console.log('ok events')
  } finally {
    await browser.close()
  }
}

main().catch((e) => {
  console.error(e)
  process.exit(1)
})
