// BullMQ: `on_bullmq.js work` works, `on_bullmq.js send MODE COUNT START GAP_MS` sends. Counts as tally.py does.
const { createRequire } = require('node:module')
const { setTimeout: sleep } = require('node:timers/promises')
const { Queue, Worker } = createRequire(process.env.BENCH_MODULES + '/')('bullmq')
const Redis = createRequire(process.env.BENCH_MODULES + '/')('ioredis').Redis

const address = { host: '127.0.0.1', port: Number(process.env.BENCH_PORT), maxRetriesPerRequest: null }
const kept = { removeOnComplete: true, removeOnFail: true }
const wallNs = () => Math.round((performance.timeOrigin + performance.now()) * 1e6)
const payload = (number, sentNs = 0) => ({
  number, sent_ns: sentNs, user: 'user-' + String(number).padStart(8, '0'), items: [1, 2, 3, 4, 5, 6, 7, 8], note: 'x'.repeat(86)
})

function work () {
  const counts = new Redis({ ...address, db: 1 })
  let [count, sum, squares, first, last, written, delays] = [0, 0, 0, 0, 0, 0, []]
  setInterval(() => {
    if (count === written) return
    written = count
    if (delays.length) counts.rpush('delays', ...delays)
    delays = []
    counts.hset('totals', process.pid, JSON.stringify([count, sum, squares, first, last]))
  }, 50)
  const run = async ({ data }) => {
    last = wallNs()
    first = first || last
    if (data.sent_ns) delays.push(last - data.sent_ns)
    count += 1
    sum += data.number
    squares += data.number ** 2
  }
  new Worker('jobs', run, { connection: new Redis(address), concurrency: 50 }).on('error', console.error)
}

async function send (mode, count, start, gapMs) {
  const queue = new Queue('jobs', { connection: new Redis(address) })
  await queue.waitUntilReady()
  const began = performance.now()
  let due = began
  for (let number = start; number < start + count;) {
    if (mode === 'bulk') {
      const size = Math.min(100, start + count - number)
      await queue.addBulk(Array.from({ length: size }, (_, i) => ({ name: 'job', data: payload(number + i), opts: kept })))
      number += size
    } else {
      await queue.add('job', payload(number, gapMs && number > start ? wallNs() : 0), kept)
      number += 1
      due += gapMs
      if (gapMs) await sleep(Math.max(0, due - performance.now()))
    }
  }
  console.log((performance.now() - began) / 1000)
  process.exit(0)
}

const [what, mode, ...numbers] = process.argv.slice(2)
if (what === 'work') work()
else send(mode, ...numbers.map(Number))
