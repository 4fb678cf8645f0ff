// One QoS 1 and one QoS 2 message through MQTT.js over WebSocket and TLS: mqtt_js_wss.cjs URL, NODE_EXTRA_CA_CERTS names
// the authority. A large payload spans many WebSocket frames' worth of bytes.
'use strict'

const assert = require('node:assert')
const mqtt = require('mqtt')

const payload = Buffer.alloc(200_000, 'x')
const c = mqtt.connect(process.argv[2], { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000 })
setTimeout(() => { console.error('no message in time'); process.exit(1) }, 20_000).unref()
c.on('error', e => { console.error(e.message); process.exit(1) })
c.on('connect', () => c.subscribe('interop/wss/#', { qos: 2 }, () => {
  c.publish('interop/wss/1', payload, { qos: 1 })
  c.publish('interop/wss/2', payload, { qos: 2 })
}))
let got = 0
c.on('message', (_, m) => {
  assert.ok(m.equals(payload))
  if (++got === 2) c.end(false, () => { console.log('ok'); process.exit(0) })
})
