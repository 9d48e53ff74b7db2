// Consent to a third-party app: in plain words, asked once, and again after it is revoked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person, redeem, request, until } from './harness.mjs'
import { button, expectHeading, signIn } from './steps.mjs'

const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }
const scope = 'openid profile email offline_access'
const words = ['Confirm who you are', 'See your name and language', 'See your email address', 'Keep access when you’re not using it']

async function stranger(t) {
  const broker = await deployment(t, 'SQLite')
  await broker.addAccount(owner.email, owner.password)
  const back = await app(t)
  const client = await broker.addClient('--name', 'Harbour Times', '--redirect-uri', back.origin + '/cb')
  await broker.serve()
  return { broker, back, client, ask: () => request(broker, client, back.origin + '/cb', { scope }) }
}

/** Waits for the nth response at the app, without allowing anything. */
async function answered(page, back, n) {
  const { query } = await until(() => back.answers()[n - 1], { about: `answer ${n}` })
  await page.waitForURL((url) => url.origin === back.origin)
  return query
}

/** The page names the app, its host, and every scope in words, none by its identifier. */
async function question(page) {
  await expectHeading(page, 'Harbour Times wants to use your Gatehouse account')
  const items = page.getByRole('list', { name: 'It will be able to:' }).getByRole('listitem')
  assert.deepEqual((await items.allInnerTexts()).map((text) => text.replace(/\s+New$/, '').trim()), words)
  const text = await page.locator('main').innerText()
  for (const name of ['openid', 'profile', 'offline_access']) assert.ok(!text.includes(name), `${name} is a word of programs`)
  assert.ok(text.includes('127.0.0.1') && text.includes(owner.email), text)
  for (const name of ['Allow', 'Cancel']) assert.ok(await button(page, name).isVisible(), name)
}

for (const js of [true, false]) {
  test(`ac_44 consent is asked in words, may be cancelled, is asked once, and again after its removal, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const { broker, back, client, ask } = await stranger(t)
    const { page, log } = await person(t, { js })

    const first = ask()
    await page.goto(first.url)
    await signIn(page, owner)
    await question(page)
    await button(page, 'Cancel').click()
    const no = await answered(page, back, 1)
    assert.deepEqual([no.error, no.state, no.code, no.iss], ['access_denied', first.state, undefined, broker.issuer])
    assert.deepEqual(await broker.run(['accounts', 'consents', owner.email, '--json']), [])

    const second = ask() // what was cancelled is not remembered as anything
    await page.goto(second.url)
    await question(page)
    await button(page, 'Allow').click()
    const yes = await answered(page, back, 2)
    assert.equal(yes.state, second.state)
    const tokens = await redeem(broker, second, yes.code)
    assert.equal(tokens.userinfo.email, owner.email)
    const given = await broker.run(['accounts', 'consents', owner.email, '--json'])
    assert.deepEqual(given.map((c) => [c.client_id, [...c.scopes].sort()]), [[client.client_id, scope.split(' ').sort()]])

    const asked = () => log.requests.filter((r) => r.url.startsWith(broker.issuer + '/consent/')).length
    const before = asked()
    const third = ask()
    await page.goto(third.url) // with the session
    assert.equal((await answered(page, back, 3)).state, third.state)
    assert.equal(asked(), before, 'a second login skips the question')
    const elsewhere = await person(t, { js })
    const fourth = ask()
    await elsewhere.page.goto(fourth.url) // and signing in anew
    await signIn(elsewhere.page, owner)
    assert.equal((await redeem(broker, fourth, (await answered(elsewhere.page, back, 4)).code)).status, 200)
    assert.deepEqual(elsewhere.log.requests.filter((r) => r.url.includes('/consent/')), [])

    await broker.run(['accounts', 'consents', 'remove', owner.email, '--client', client.client_id, '--yes'])
    assert.deepEqual(await broker.run(['accounts', 'consents', owner.email, '--json']), [])
    const basic = 'Basic ' + Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64')
    const refreshed = await fetch(broker.issuer + '/token', { method: 'POST', headers: { authorization: basic },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token }) })
    assert.deepEqual([refreshed.status, (await refreshed.json()).error], [400, 'invalid_grant'])
    const fifth = ask()
    await page.goto(fifth.url)
    await question(page)
    await button(page, 'Allow').click()
    assert.equal((await redeem(broker, fifth, (await answered(page, back, 5)).code)).status, 200)
    assert.deepEqual(log.complaints, [])
  })
}
