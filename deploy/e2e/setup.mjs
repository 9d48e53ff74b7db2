// One deployment for a whole file: a stub upstream, a first-party app and a third-party one.
import { createHmac } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { after } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person as browse, redirectAt, request, until } from './harness.mjs'
import { startStub } from './stub.mjs'

export const password = 'seven boats at noon'
export const wrong = 'not the password at all'
const tenant = '11111111-2222-3333-4444-555555555555'
const appSecret = 'a secret that the tests share with nobody'

/** Ends after the tests of the file what a before hook started, whose own context has no after. */
export function life() {
  const ends = []
  after(async () => { for (const end of ends.reverse()) await end() })
  return { after: (f) => ends.push(f) }
}

/** Starts the deployment. Its buttons: Club and Annex, and Microsoft; The Office is found by its domain, office.test. */
export async function setUp(t, { env } = {}) {
  const stub = await startStub(t, tenant)
  const broker = await deployment(t, 'SQLite', { env })
  await broker.connect('club', 'Club', stub)
  await broker.connect('annex', 'Annex', stub)
  const add = (id, kind, name, secret, ...more) =>
    broker.run(['connections', 'add', id, '--kind', kind, '--name', name, '--client-secret-file', '-', '--live', '--json', ...more], secret)
  await add('microsoft', 'microsoft', 'Microsoft', stub.client_secret, '--client-id', stub.client_id, '--set', `tenant=${tenant}`, '--set', `authority=${stub.issuer}`)
  await add('office', 'oidc', 'The Office', stub.client_secret, '--client-id', stub.client_id, '--issuer', stub.issuer, '--domain', 'office.test', '--hidden')
  await add('facebook', 'meta', 'Facebook', appSecret, '--client-id', '1234567890', '--hidden')
  const back = await app(t)
  const client = (name, ...more) => broker.addClient('--name', name, '--redirect-uri', 'http://127.0.0.1/callback', '--auth-method', 'none', '--native', ...more)
  const ours = await client('Courts', '--first-party')
  const read = ['client', 'policy', 'tos'].flatMap((page) => [`--${page}-uri`, `https://scores.test/${page}`])
  const theirs = await client('Scores', ...read, ...['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'].flatMap((g) => ['--grant', g]))
  await broker.serve()
  let people = 0
  return {
    broker, issuer: broker.issuer, stub, back, ours, theirs,
    /** Creates an account; secret may be empty for one without a password. */
    async account(secret = password, email = `person${++people}@example.test`) {
      const args = ['accounts', 'add', email, '--name', 'Ana Silva', '--json']
      return { email, password: secret, ...await (secret ? broker.addAccount(email, secret) : broker.run(args)) }
    },
    /** The connections of the identities that an account has. */
    async linked(email) { return (await broker.run(['accounts', 'show', email, '--json'])).identities?.map((i) => i.connection) ?? [] },
    /** An address without an account. */
    stranger: () => `stranger${++people}@example.test`,
    ask: (extra, client = ours) => request({ issuer: broker.issuer }, client, redirectAt(client, back.origin), extra),
    /** A fresh browser at the start of a login of an app. */
    async visitor(t, { client, extra, ...options } = {}) {
      const who = await browse(t, options)
      const ask = this.ask(extra, client)
      await who.page.goto(ask.url)
      return { ...who, ask }
    },
    /** Waits for the nth mail to an address. */
    mail: (to, number = 1) => until(async () => (await mailsTo(broker.mailbox, to))[number - 1], { about: `mail ${number} to ${to}` }),
    mails: (to) => mailsTo(broker.mailbox, to),
    async code(to, number) { return /\b\d{6}\b/.exec(await this.mail(to, number))[0] },
    /** Starts the device grant of the third-party app; returns the user code. */
    async device() {
      const body = new URLSearchParams({ client_id: theirs.client_id, scope: 'openid profile email offline_access' })
      return (await (await fetch(`${broker.issuer}/device_authorization`, { method: 'POST', body })).json()).user_code
    },
    /** Requests the deletion of a person's data as Facebook does; returns the URL of its status. */
    async deletion() {
      const payload = Buffer.from(JSON.stringify({ algorithm: 'HMAC-SHA256', user_id: '998877', issued_at: Math.floor(Date.now() / 1000) })).toString('base64url')
      const signature = createHmac('sha256', appSecret).update(payload).digest('base64url')
      const body = new URLSearchParams({ signed_request: `${signature}.${payload}` })
      return (await (await fetch(`${broker.issuer}/callback/facebook/data-deletion`, { method: 'POST', body })).json()).url
    },
  }
}

/** The mails to an address, oldest first. */
async function mailsTo(folder, to) {
  const all = []
  for (const name of (await readdir(folder)).filter((f) => f.endsWith('.eml')).sort()) {
    const sent = await readFile(`${folder}/${name}`, 'latin1') // quoted-printable
    const text = Buffer.from(sent.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1').toString()
    if (new RegExp(`^To:.*<?${to.replaceAll('.', '\\.')}>?`, 'm').test(text)) all.push(text)
  }
  return all
}

// Elements of a page in any language: forms by action, fields by name, buttons by value.
export const input = (page, name) => page.locator(`main input[name="${name}"]`)
export const formOf = (page, action) => page.locator(`main form[action$="/${action}"]`)
export const submit = (page, action) => formOf(page, action).locator('button[type=submit]').click()
export const wish = (page, value) => page.locator(`main button[name=wish][value=${value}]`).click()
export const to = (page, connection) => page.locator(`main a[href*="/to/${connection}"]`).first()

/** Types the address of the first page. */
export async function identify(page, email) {
  await input(page, 'email').fill(email)
  await submit(page, 'email')
}

/** Types the password of the page that asks for one. */
export async function enter(page, action, secret) {
  await input(page, 'password').fill(secret)
  await submit(page, action)
}
