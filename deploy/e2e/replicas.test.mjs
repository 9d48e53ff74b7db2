// Replicas on PostgreSQL and Redis: each serves any step, and one may die at any moment.
import assert from 'node:assert/strict'
import { createServer, request as forward } from 'node:http'
import { test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, freePort, person, redeem, request, until } from './harness.mjs'
import { button, field, h1, passwordField, providerButton } from './steps.mjs'
import { startUpstream } from './upstream.mjs'

const password = 'the password of everybody'

/** A minimal load balancer: round-robin, with the next replica if one is gone. */
async function balancer(t) {
  const replicas = []
  const served = []
  let turn = 0
  let trap // { on: RegExp, spring: replica → promise }: what happens while a request is under way
  const pass = (req, res, body, tries) => {
    const replica = replicas[turn++ % replicas.length]
    const out = forward({ port: replica.port, host: '127.0.0.1', method: req.method, path: req.url, headers: req.headers, agent: false }, (answer) => {
      served.push({ port: replica.port, what: `${req.method} ${req.url}` })
      res.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    out.on('error', (error) => {
      if (error.code === 'ECONNREFUSED' && tries > 0) return pass(req, res, body, tries - 1)
      if (!res.headersSent) res.writeHead(502, { 'content-type': 'text/html' })
      res.end('<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>')
    })
    out.end(body)
    if (trap?.on.test(`${req.method} ${req.url}`)) {
      const { spring } = trap
      trap = undefined
      spring(replica)
    }
  }
  const server = createServer(async (req, res) => {
    const chunks = []
    for await (const chunk of req) chunks.push(chunk)
    pass(req, res, Buffer.concat(chunks), replicas.length)
  })
  const port = await freePort()
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  return { issuer: `http://localhost:${port}`, replicas, served, trap: (on, spring) => { trap = { on, spring } }, trapped: () => !trap }
}

async function setting(t, people) {
  const lb = await balancer(t)
  const broker = await deployment(t, 'PostgreSQL and Redis', { issuer: lb.issuer })
  const claims = Object.fromEntries(people.map((p) => [p, { email: `${p}@example.test`, email_verified: true, name: p }]))
  const upstream = await startUpstream(t, { redirectURI: broker.callback('acme'), people: claims })
  const back = await app(t)
  await broker.connect('acme', 'Acme', upstream)
  const accounts = {}
  for (const p of people) accounts[p] = await broker.addAccount(`${p}@example.test`, password)
  const client = await broker.addClient('--name', 'Replicas', '--redirect-uri', back.origin + '/callback')
  for (let i = 0; i < 2; i++) lb.replicas.push(await broker.serve(await freePort()))
  return { lb, broker, back, accounts, client, demo: { issuer: lb.issuer }, ask: () => request({ issuer: lb.issuer }, client, back.origin + '/callback') }
}

/**
 * Does what each page asks for, until the app has a response. A page that fails to load is
 * loaded again, as people do; "Start again" is pressed, and any other refusal fails.
 */
async function goOn(page, back, who, { restarts = 2 } = {}) {
  let lastForm = page.url()
  for (let moves = 0; back.answers().length === 0; moves++) {
    assert.ok(moves < 25, `${who} does not get in; last at ${page.url()}`)
    const title = (await h1(page).textContent({ timeout: 5000 }).catch(() => '')).trim()
    if (back.answers().length > 0) break
    if (title === 'Bad gateway' || title === '') {
      await page.goto(page.url().includes('/login/') ? lastForm : page.url()).catch(() => {})
    } else if (title === 'Sign in') {
      lastForm = page.url()
      await providerButton(page, 'Acme').click()
    } else if (title === 'Who are you?') {
      await field(page, 'Login').fill(who)
      await button(page, 'Sign in').click()
    } else if (title.startsWith('Link ')) {
      lastForm = page.url()
      await passwordField(page).fill(password)
      await button(page, 'Link and sign in').click()
    } else if (await button(page, 'Allow').isVisible()) {
      lastForm = page.url()
      await button(page, 'Allow').click()
    } else if (title.startsWith('Taking you to')) {
      await new Promise((resolve) => setTimeout(resolve, 100))
    } else {
      assert.ok(restarts-- > 0, `a dead end: ${title} at ${page.url()}`)
      await page.getByRole('link', { name: 'Start again' }).or(page.getByRole('button', { name: 'Start again' })).click()
    }
  }
  return back.answers()[0].query
}

test('replicas: two of them serve one login between them', async (t) => {
  const s = await setting(t, ['rosa'])
  const { page, log } = await person(t)
  const ask = s.ask()
  await page.goto(ask.url)
  const answer = await goOn(page, s.back, 'rosa', { restarts: 0 })
  assert.equal(answer.state, ask.state)
  const tokens = await redeem(s.demo, ask, answer.code)
  assert.equal(tokens.claims.sub, s.accounts.rosa.id)
  for (const { port } of s.lb.replicas) assert.ok(s.lb.served.some((r) => r.port === port), `replica ${port} served nothing`)
  // A second use is refused by whichever replica it reaches, and ends what the first one gave.
  assert.equal((await redeem(s.demo, ask, answer.code)).error, 'invalid_grant')
  assert.equal((await redeem(s.demo, ask, answer.code)).error, 'invalid_grant')
  assert.deepEqual(log.complaints, [])
})

// The request during which its replica dies: first page, redirect to the upstream, callback, link, response to the app.
const moments = {
  authorize: /^GET \/authorize\?(?!login=)/,
  page: /^GET \/login\/[^/]+$/,
  departure: /^GET \/login\/.*\/to\/acme/,
  callback: /^GET \/callback\/acme/,
  link: /^POST \/login\/.*\/link/,
  finish: /^GET \/authorize\?login=/,
}

for (const [moment, on] of Object.entries(moments)) {
  for (const delay of [0, 8]) {
    test(`replicas H7 kill -9 during ${moment} after ${delay} ms leaves a way into the app`, async (t) => {
      const s = await setting(t, ['rosa'])
      const { page } = await person(t)
      let killed
      s.lb.trap(on, (replica) => { killed = new Promise((resolve) => setTimeout(resolve, delay)).then(() => replica.kill()) })
      const ask = s.ask()
      await page.goto(ask.url)
      const answer = await goOn(page, s.back, 'rosa')
      assert.ok(s.lb.trapped(), 'nobody was killed')
      await killed
      assert.equal(answer.state, ask.state, 'the app’s own request was lost')
      assert.equal(answer.error, undefined)
      const tokens = await redeem(s.demo, ask, answer.code)
      assert.equal(tokens.claims?.sub, s.accounts.rosa.id, JSON.stringify(tokens))
      const all = await s.broker.run(['accounts', 'show', 'rosa@example.test', '--json'])
      assert.equal(all.identities.length, 1, 'one identity, linked once')
    })
  }
}

test('replicas H7 kill -9 during the token request gives tokens once, or none and a new login', async (t) => {
  const s = await setting(t, ['rosa'])
  const { page } = await person(t)
  const ask = s.ask()
  await page.goto(ask.url)
  const answer = await goOn(page, s.back, 'rosa')
  s.lb.trap(/^POST \/token/, (replica) => { setTimeout(() => replica.kill(), 3) })
  const first = await redeem(s.demo, ask, answer.code).catch(() => ({ status: 502 })) // the app's connection broke
  if (first.status !== 200) {
    const second = await redeem(s.demo, ask, answer.code)
    if (second.status === 200) assert.equal(second.claims.sub, s.accounts.rosa.id)
    else assert.equal(second.error, 'invalid_grant')
  }
  s.back.calls.length = 0
  const next = s.ask()
  await page.goto(next.url)
  await until(() => s.back.answers().length > 0) // the session is still good
  assert.equal((await redeem(s.demo, next, s.back.answers()[0].query.code)).claims.sub, s.accounts.rosa.id)
})
