// A browser takes the fragment of a URL over to where it is redirected. What is planted on the way must not reach the app.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person as browse, redeem, request } from './harness.mjs'
import { arrive, providerButton, signIn } from './steps.mjs'
import { person, startStub } from './stub.mjs'

const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }

test('a fragment that is planted on the way does not reach the page of the app', async (t) => {
  const stub = await startStub(t, 'unused')
  const broker = await deployment(t, 'SQLite')
  await broker.connect('club', 'Club', stub)
  await broker.addAccount(owner.email, owner.password)
  await broker.serve()
  const back = await app(t)
  const client = await broker.addClient('--name', 'Garden', '--first-party', '--redirect-uri', back.origin + '/cb', '--post-logout-redirect-uri', back.origin + '/out')
  const { page } = await browse(t)
  let n = 0
  const come = async (extra, act = async () => {}) => {
    const ask = request(broker, client, back.origin + '/cb', extra)
    await page.goto(ask.url + '#_=_')
    await act()
    const answer = await arrive(page, back, ++n)
    const at = await page.evaluate(() => location.href)
    assert.ok(at.startsWith(back.origin + '/cb?') && !at.includes('_=_'), at)
    return { ask, answer }
  }
  const leave = async ({ ask, answer }) => {
    const { id_token: hint } = await redeem(broker, ask, answer.code)
    await page.goto(`${broker.issuer}/end_session?${new URLSearchParams({ id_token_hint: hint, post_logout_redirect_uri: back.origin + '/out' })}#access_token=planted`)
    const at = await page.evaluate(() => location.href)
    assert.ok(at.startsWith(back.origin + '/out') && !at.includes('planted'), at)
  }

  await come({}, () => signIn(page, owner))
  await leave(await come({})) // with the session, by redirects alone
  assert.equal((await come({ prompt: 'none' })).answer.error, 'login_required')

  // A provider appends its own fragment to the callback, as Facebook does.
  stub.next = { claims: person('nora', owner.email), hash: '#_=_' }
  await come({}, async () => {
    await providerButton(page, 'Club').click()
    await page.locator('input[name=password]').fill(owner.password)
    await page.keyboard.press('Enter')
  })
  const known = await browse(t)
  const ask = request(broker, client, back.origin + '/cb', { connection: 'club' })
  await known.page.goto(ask.url) // a known person: from the app to the provider and back, by redirects alone
  await arrive(known.page, back, ++n)
  const at = await known.page.evaluate(() => location.href)
  assert.ok(at.startsWith(back.origin + '/cb?code=') && !at.includes('_=_'), at)
})
