// The story of the interoperability tests with MQTT.js: mqtt_js.cjs PORT 3|4|5 [URL]
'use strict'

const assert = require('node:assert')
const mqtt = require('mqtt')

const port = Number(process.argv[2])
const version = Number(process.argv[3])
const url = process.argv[4] ?? `mqtt://127.0.0.1:${port}`
const prefix = `interop/js/${version}/`
const patience = 20_000

const within = (promise, what) => {
  let timer
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${patience} ms`)), patience)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}

// A Client is one connection whose messages wait in a queue.
class Client {
  static async open (name, { stored = false, will } = {}) {
    const options = { clientId: name, protocolVersion: version, clean: !stored, reconnectPeriod: 0 }
    if (version === 3) options.protocolId = 'MQIsdp'
    if (version === 5 && stored) options.properties = { sessionExpiryInterval: 300 }
    if (will) options.will = { topic: will, payload: Buffer.from('gone'), qos: 1, retain: false }
    const c = new Client()
    c.queue = []
    c.waiting = []
    c.mqtt = mqtt.connect(url, options)
    c.mqtt.on('message', (topic, payload, packet) => {
      const message = [topic, payload.toString(), packet.qos, packet.retain]
      const next = c.waiting.shift()
      if (next) next(message)
      else c.queue.push(message)
    })
    const connack = await within(new Promise((resolve, reject) => {
      c.mqtt.once('connect', resolve)
      c.mqtt.once('error', reject)
    }), 'CONNACK')
    c.present = connack.sessionPresent
    return c
  }

  async subscribe (topic, qos) {
    const granted = await within(this.mqtt.subscribeAsync(topic, { qos }), 'SUBACK')
    assert.deepStrictEqual(granted.map(g => g.qos), [qos])
  }

  publish (topic, payload, qos, retain = false) {
    return within(this.mqtt.publishAsync(topic, payload, { qos, retain }), 'acknowledgement')
  }

  async want (...message) {
    const next = this.queue.length > 0 ? this.queue.shift() : await within(new Promise(resolve => this.waiting.push(resolve)), 'message')
    assert.deepStrictEqual(next, message)
  }

  close () { return within(this.mqtt.endAsync(), 'end') }
}

async function main () {
  const publisher = await Client.open('js-publisher')
  const subscriber = await Client.open('js-subscriber')
  for (const qos of [0, 1, 2]) {
    await subscriber.subscribe(`${prefix}qos/${qos}`, qos)
    await publisher.publish(`${prefix}qos/${qos}`, 'hello', qos)
    await subscriber.want(`${prefix}qos/${qos}`, 'hello', qos, false)
  }

  await publisher.publish(prefix + 'retained', 'kept', 1, true)
  await subscriber.subscribe(prefix + 'retained', 1)
  await subscriber.want(prefix + 'retained', 'kept', 1, true)
  await publisher.publish(prefix + 'retained', '', 1, true)
  await subscriber.want(prefix + 'retained', '', 1, false)

  await (await Client.open('js-stored')).close()
  let stored = await Client.open('js-stored', { stored: true })
  await stored.subscribe(prefix + 'stored', 2)
  await stored.close()
  for (const n of ['0', '1', '2']) await publisher.publish(prefix + 'stored', n, 2)
  stored = await Client.open('js-stored', { stored: true })
  if (version > 3) assert.strictEqual(stored.present, true, 'the stored session is gone')
  for (const n of ['0', '1', '2']) await stored.want(prefix + 'stored', n, 2, false)
  await stored.close()

  await subscriber.subscribe(prefix + 'will', 1)
  const dying = await Client.open('js-dying', { will: prefix + 'will' })
  dying.mqtt.stream.destroy()
  await subscriber.want(prefix + 'will', 'gone', 1, false)

  await publisher.close()
  await subscriber.close()
  console.log('ok')
}

main().catch(err => {
  console.error(err)
  process.exit(1)
})
