// The device grant: the code, the confirmation that is always asked, and the responses to the device.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { deployment } from './deployment.mjs'
import { person as browse, until } from './harness.mjs'
import { look } from './look.mjs'
import { button, expectHeading, field, signIn } from './steps.mjs'

const grant = 'urn:ietf:params:oauth:grant-type:device_code'
const label = 'Enter the code shown on your device'

/** Requires that the pages are accessible, fit, and are within their budget. */
function clean(found) {
  for (const what of ['violations', 'incomplete', 'overflow', 'small']) assert.deepEqual(found.flatMap((f) => f[what]), [], what)
}

describe('ac_45 a device', () => {
  let broker, tv, accounts = 0
  const ends = []
  const life = { after: (f) => ends.push(f) }
  after(async () => { for (const end of ends.reverse()) await end() })
  before(async () => {
    broker = await deployment(life, 'SQLite')
    tv = await broker.addClient('--name', 'Harbour TV', '--auth-method', 'none', '--grant', grant, '--grant', 'refresh_token')
    await broker.serve()
  })

  const post = async (path, fields) => {
    const res = await fetch(broker.issuer + path, { method: 'POST', body: new URLSearchParams({ client_id: tv.client_id, ...fields }) })
    return { status: res.status, ...await res.json() }
  }
  const asks = () => post('/device_authorization', { scope: 'openid profile email offline_access' })
  const polls = (call) => post('/token', { grant_type: grant, device_code: call.device_code })
  const account = async () => {
    const email = `viewer${++accounts}@example.test`, password = 'nine lanterns at low tide'
    await broker.addAccount(email, password)
    return { email, password }
  }
  const types = async (page, code) => {
    await field(page, label).fill(code)
    await button(page, 'Continue').click()
  }
  const question = (page) => expectHeading(page, /^Harbour TV wants to use your .+ account on a device$/)

  for (const js of [true, false]) {
    test(`ac_45 a code in lower case with a space is accepted, and the question comes before anything is given, ${js ? 'with' : 'without'} scripts`, async (t) => {
      const call = await asks()
      const { page, log } = await browse(t, { js })
      await page.goto(call.verification_uri)
      await expectHeading(page, 'Connect a device')
      await types(page, call.user_code.toLowerCase().replace('-', ' '))
      if (!js) await page.getByRole('link', { name: 'Continue' }).click({ timeout: 2000 }).catch(() => {}) // the page may have gone on by itself
      const owner = await account()
      await signIn(page, owner)
      if (!js) await page.getByRole('link', { name: 'Continue' }).click({ timeout: 2000 }).catch(() => {})
      await question(page)
      const text = await page.locator('main').innerText()
      const warning = /Only continue if this code is on a device in front of you\. Nobody from .+ will ever send you a code\./
      const time = js ? /Asked for at \d{1,2}:\d\d/ : /Asked for at \d\d:\d\d UTC/ // a script shows it in the reader's zone
      for (const part of [call.user_code, 'See your email address', 'Keep access', '127.0.0.1', time, warning, owner.email]) {
        assert.ok(part instanceof RegExp ? part.test(text) : text.includes(part), `the question lacks ${part}:\n${text}`)
      }
      assert.equal((await polls(call)).error, 'authorization_pending')
      await button(page, 'Allow device').click()
      await expectHeading(page, 'You’re signed in on your device')
      const got = await polls(call)
      assert.equal(got.status, 200)
      assert.equal(JSON.parse(Buffer.from(got.id_token.split('.')[1], 'base64url')).aud, tv.client_id)
      const me = await (await fetch(broker.issuer + '/userinfo', { headers: { authorization: 'Bearer ' + got.access_token } })).json()
      assert.equal(me.email, owner.email)
      assert.equal((await post('/token', { grant_type: 'refresh_token', refresh_token: got.refresh_token })).status, 200)
      assert.deepEqual(log.complaints, [])
    })
  }

  test('ac_45 the complete link fills the code in and still asks, also who is signed in; Deny is told to the device', async (t) => {
    const { page } = await browse(t)
    await page.goto(broker.issuer + '/login')
    await signIn(page, await account())
    for (let round = 0; round < 2; round++) { // the second time it was allowed before
      const call = await asks()
      await page.goto(call.verification_uri_complete)
      await expectHeading(page, 'Connect a device')
      assert.equal(await field(page, label).inputValue(), call.user_code)
      assert.equal((await polls(call)).error, 'authorization_pending')
      await button(page, 'Continue').click()
      await question(page)
      await button(page, round === 0 ? 'Allow device' : 'Deny').click()
      await expectHeading(page, round === 0 ? 'You’re signed in on your device' : 'The device was not let in')
      const answer = await polls(call)
      assert.equal(answer.error, round === 0 ? undefined : 'access_denied')
    }
  })

  test('ac_45 wrong, used and too many: each is said on the page, and the pages are accessible in both themes', async (t) => {
    const { page } = await browse(t)
    await page.goto(broker.issuer + '/login')
    await signIn(page, await account())
    const call = await asks()
    await page.goto(call.verification_uri)
    const found = [await look(page, 'device')]
    const says = (text) => until(async () => (await page.locator('main').innerText()).includes(text), { about: text })
    await types(page, 'ABCD EFGH')
    await says('This code is not right.')
    found.push(await look(page, 'device-wrong', { cold: false }))
    await types(page, call.user_code)
    await question(page)
    found.push(await look(page, 'device-question'))
    await button(page, 'Allow device').click()
    await expectHeading(page, 'You’re signed in on your device')
    found.push(await look(page, 'device-done'))
    await page.goto(call.verification_uri)
    await types(page, call.user_code)
    await says('already been used')
    for (let i = 0; i < 9; i++) {
      await types(page, 'BBBB-BBBB')
      await says(i < 8 ? 'This code is not right.' : 'Too many tries.')
      if (i < 8) await page.goto(call.verification_uri)
    }
    const next = await asks()
    await page.goto(next.verification_uri_complete)
    await button(page, 'Continue').click()
    await says('Too many tries.')
    found.push(await look(page, 'device-tries', { cold: false }))
    clean(found)
  })
})
