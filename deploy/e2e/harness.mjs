// What every journey needs: the real binary, a mailbox, browsers that record their requests, an app's address.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const top = fileURLToPath(new URL('../..', import.meta.url))

/** Waits until what() is truthy, and returns its value. */
export async function until(what, { seconds = 20, about = String(what) } = {}) {
  const end = Date.now() + seconds * 1000
  for (let last; ; await sleep(50)) {
    try {
      const value = await what()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${about}`, { cause: last })
  }
}

export async function scratch(t) {
  const dir = await mkdtemp(path.join(tmpdir(), 'gatehouse-e2e-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const socket = createSocket().on('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

let built
/** The binary under test; built once if GATEHOUSE_BINARY is not set. */
export function binary() {
  built ??= process.env.GATEHOUSE_BINARY ?? (async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'gatehouse-bin-'))
    process.once('exit', () => rmSync(dir, { recursive: true, force: true })) // a hook would end it with the first test
    const out = path.join(dir, 'gatehouse')
    await finished(spawn('go', ['build', '-buildvcs=false', '-o', out, './cmd/gatehouse'], { cwd: top, env: { ...process.env, CGO_ENABLED: '0' } }))
    return out
  })()
  return built
}

function finished(child, input) {
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (d) => { stdout += d })
  child.stderr.on('data', (d) => { stderr += d })
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => code === 0 ? resolve(stdout) : reject(new Error(`${child.spawnargs.join(' ')}: exit ${code}\n${stdout}${stderr}`)))
  })
}

// Removes the settings of the developer's own shell.
function clean(env) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('GATEHOUSE_'))
  return { ...Object.fromEntries(kept), ...env }
}

/** Runs a command of the binary and returns its output, parsed if it is JSON. */
export async function gatehouse(args, { env, input } = {}) {
  const text = await finished(spawn(await binary(), args, { env: clean(env) }), input)
  return args.includes('--json') ? JSON.parse(text) : text
}

/** Starts the binary. It is stopped after the test, or earlier by stop and kill. */
export async function start(t, args, { env } = {}) {
  return supervise(t, spawn(await binary(), args, { env: clean(env), stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** Collects what a process prints, and stops the process after the test, or earlier by stop and kill. */
export function supervise(t, child) {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => { output += d })
  const gone = new Promise((resolve) => child.on('exit', resolve))
  const end = (signal) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    return gone
  }
  t.after(() => Promise.race([end('SIGTERM'), sleep(10_000, undefined, { ref: false }).then(() => end('SIGKILL'))]))
  return { output: () => output, kill: () => end('SIGKILL'), stop: () => end('SIGTERM'), running: () => child.exitCode === null && child.signalCode === null }
}

let shared
const ends = []
after(async () => { for (const end of ends.reverse()) await end() }) // a hook of a test would end with that test

/** The demo of this file, for tests that leave its accounts and identities as they are. */
export function sharedDemo() {
  shared ??= startDemo({ after: (end) => ends.push(end) })
  return shared
}

/** Starts the demo in a fresh folder and returns the content of demo.json, with access to the mailbox. */
export async function startDemo(t) {
  const dir = await scratch(t)
  const server = await start(t, ['demo', '--addr', 'localhost:0', '--data', dir])
  const demo = await until(async () => {
    if (!server.running()) throw new Error('the demo ended')
    return JSON.parse(await readFile(path.join(dir, 'demo.json')))
  }, { about: 'demo.json' }).catch((error) => { throw new Error(server.output().slice(-2000), { cause: error }) })
  await until(() => fetch(demo.issuer + '/.well-known/openid-configuration').then((r) => r.ok), { about: 'the demo' })
  return {
    ...demo,
    dir,
    output: server.output,
    account: demo.accounts[0],
    confidential: demo.clients.find((c) => c.token_endpoint_auth_method !== 'none'),
    native: demo.clients.find((c) => c.token_endpoint_auth_method === 'none'),
    connection: (kind) => demo.connections.find((c) => c.kind === kind),
    persona: (kind, login) => { // by the kind of the connection
      const { id } = demo.connections.find((c) => c.kind === kind)
      return demo.personas.find((p) => p.connection === id && p.login === login)
    },
    mails: (to) => mails(demo.mailbox, to),
    mailedCode: (to, number) => mailedCode(demo.mailbox, to, number),
    run: (args, input) => gatehouse([...args, '--json', '--config', path.join(dir, 'gatehouse.yaml')], { input }),
  }
}

/** The mails to an address, oldest first. */
export async function mails(mailbox, to) {
  const all = await (await fetch(new URL('/mails.json', mailbox))).json()
  return all.filter((m) => m.to.includes(to)).reverse()
}

/** Waits for the nth mail with a code to an address, 1 being the first, and returns the code. */
export function mailedCode(mailbox, to, number = 1) {
  return until(async () => {
    const codes = (await mails(mailbox, to)).map((m) => /\b\d{6}\b/.exec(`${m.subject}\n${m.text}`)?.[0]).filter(Boolean)
    return codes[number - 1]
  }, { about: `mailed code ${number} to ${to}` })
}

let launched
export function browser() {
  launched ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
  return launched
}
after(async () => { if (launched) await (await launched).close() })

/** A person's browser: its own cookies, and a log of requests and of console messages. */
export async function person(t, { js = true, ...options } = {}) {
  const context = await (await browser()).newContext({ javaScriptEnabled: js, locale: 'en-US', viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(20_000)
  t.after(() => context.close())
  const log = { requests: [], complaints: [] }
  context.on('request', (r) => log.requests.push({ method: r.method(), url: r.url(), referer: r.headers().referer, type: r.resourceType() }))
  context.on('console', (m) => { if (['error', 'warning'].includes(m.type()) && !isStatus(m.text())) log.complaints.push(m.text()) })
  context.on('weberror', (e) => log.complaints.push(String(e.error())))
  return { context, log, page: await context.newPage() }
}

// Chromium logs every refusal on its console; here a refusal is a page, not an error.
const isStatus = (text) => /^Failed to load resource: the server responded with a status of [45]\d\d/.test(text)

/** An app's redirect URI on loopback; it records its requests. */
export async function app(t, { answer } = {}) {
  const calls = []
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://app')
    if (url.pathname === '/favicon.ico') return res.writeHead(404).end()
    calls.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), headers: req.headers, method: req.method })
    if (answer) return answer(req, res, url)
    res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Back in the app</h1>')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  const origin = `http://127.0.0.1:${server.address().port}`
  return { origin, calls, answers: () => calls.filter((c) => c.query.code || c.query.error) }
}

/** The redirect URI of a native client at the port of an app (RFC 8252 §7.3). */
export function redirectAt(client, origin) {
  const registered = new URL(client.redirect_uris.find((u) => u.startsWith('http://127.0.0.1')))
  registered.port = new URL(origin).port
  return registered.href
}

/** An authorization request of an app, with the state and the verifier that the app keeps. */
export function request(demo, client, redirectURI, extra = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(12).toString('base64url')
  const query = new URLSearchParams({
    response_type: 'code', client_id: client.client_id, redirect_uri: redirectURI, scope: 'openid profile email', state,
    nonce: randomBytes(12).toString('base64url'), code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256', ...extra,
  })
  return { url: `${demo.issuer}/authorize?${query}`, state, verifier, redirectURI, client }
}

/** Redeems a code: the token response, with the ID token's claims and the userinfo response. */
export async function redeem(demo, { client, redirectURI, verifier }, code) {
  const body = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirectURI, code_verifier: verifier })
  const headers = {}
  if ((client.token_endpoint_auth_methods ?? [client.token_endpoint_auth_method]).includes('none')) body.set('client_id', client.client_id)
  else headers.authorization = 'Basic ' + Buffer.from(`${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`).toString('base64')
  const res = await fetch(demo.issuer + '/token', { method: 'POST', body, headers })
  const answer = await res.json()
  if (answer.id_token) {
    answer.claims = JSON.parse(Buffer.from(answer.id_token.split('.')[1], 'base64url'))
    answer.userinfo = await (await fetch(demo.issuer + '/userinfo', { headers: { authorization: 'Bearer ' + answer.access_token } })).json()
  }
  return { status: res.status, ...answer }
}
