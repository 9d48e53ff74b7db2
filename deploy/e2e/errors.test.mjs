// Every refusal that a person can meet: its words, its status, a way on that works, and a reference that finds the Event.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person as browse, redirectAt, request, until } from './harness.mjs'
import { microsoftPerson, person, startStub } from './stub.mjs'
import { button, expectHeading, h1, identify, passwordField, providerButton, typePassword } from './steps.mjs'

const tenant = '11111111-2222-3333-4444-555555555555'
const password = 'seven boats at noon'
const oid = (n) => `aaaaaaaa-bbbb-cccc-dddd-${String(n).padStart(12, '0')}`

describe('ac_23 a refusal', () => {
  let broker, stub, back, client, accounts = 0
  const ends = []
  const life = { after: (f) => ends.push(f) }
  after(async () => { for (const end of ends.reverse()) await end() })
  before(async () => {
    stub = await startStub(life, tenant)
    broker = await deployment(life, 'SQLite', { env: { GATEHOUSE_REGISTRATION: 'invite' } })
    await broker.connect('club', 'Club', stub)
    await broker.connect('annex', 'Annex', stub)
    for (const id of ['microsoft', 'msoff']) {
      await broker.run(['connections', 'add', id, '--kind', 'microsoft', '--name', id === 'microsoft' ? 'Microsoft' : 'Old Microsoft', '--client-id', stub.client_id,
        '--client-secret-file', '-', '--set', `tenant=${tenant}`, '--set', `authority=${stub.issuer}`, '--set', 'allow_guests=true', '--live', '--json'], stub.client_secret)
    }
    await broker.run(['connections', 'disable', 'msoff'])
    back = await app(life)
    client = await broker.addClient('--name', 'Courts', '--redirect-uri', 'http://127.0.0.1/callback', '--auth-method', 'none', '--native', '--first-party')
    await broker.serve()
  })

  /** Opens an app's request; returns the browser and the statuses of the pages it was shown. */
  async function asked(t, extra) {
    const who = await browse(t)
    const seen = { status: 0 }
    who.page.on('response', (r) => { if (r.request().isNavigationRequest() && r.url().startsWith(broker.issuer)) seen.status = r.status() })
    const ask = request({ issuer: broker.issuer }, client, redirectAt(client, back.origin), extra)
    await who.page.goto(ask.url)
    return { ...who, seen, ask }
  }

  const account = async () => {
    const email = `person${++accounts}@example.test`
    return { email, password, ...await broker.addAccount(email, password) }
  }

  /** Checks the page of a refusal, and finds its Event by the reference. */
  async function refused({ page, seen }, code, heading, status, { event = true } = {}) {
    await expectHeading(page, heading === null ? 'Sign in' : heading)
    assert.equal(seen.status, status, code)
    await page.locator('details.details summary').click()
    const [shown, reference] = await page.locator('details.details code').allTextContents()
    assert.equal(shown, code)
    assert.match(reference ?? '', /^[0-9A-Z]{4}-[0-9A-Z]{4}$/)
    assert.doesNotMatch(await page.locator('body').innerText(), /AADSTS|raw words|undefined|\{\d|\{[a-z]+\}/, 'the page shows what is not for people')
    if (event) {
      const [found] = await broker.run(['audit', '--reference', reference, '--json'])
      assert.equal(found?.code, code, `the reference ${reference} finds ${JSON.stringify(found)}`)
    }
  }

  const banner = (page) => page.locator('main .note').first()
  const arrived = (page) => until(async () => page.url().startsWith(back.origin), { about: 'the app' })
  const primary = (page) => page.locator('.actions a').first().click()

  for (const [error, description, code, heading, status] of [
    ['access_denied', undefined, 'sso_cancelled', null, 200],
    ['odd_error', 'raw words of the upstream', 'sso_idp_rejected', null, 502],
    ['temporarily_unavailable', 'raw words', 'connection_unavailable', null, 503],
    ['invalid_client', 'AADSTS7000222: raw words', 'idp_misconfigured', null, 502],
    ['access_denied', 'AADSTS65004: raw words', 'consent_declined', null, 403],
    ['access_denied', 'AADSTS90094: raw words', 'admin_approval_required', 'Your administrator has to approve this first', 403],
    ['access_denied', 'AADSTS50105: raw words', 'not_assigned', 'You haven’t been given access', 403],
    ['access_denied', 'AADSTS50020: raw words', 'wrong_tenant', 'That organisation can’t be used here', 403],
    ['access_denied', 'AADSTS53003: raw words', 'idp_policy', 'Microsoft stopped the sign-in', 403],
  ]) {
    test(`ac_23 ${code}: what Microsoft said is put into words, and pressing the action signs in once it is mended`, async (t) => {
      const ana = await account()
      const who = await asked(t)
      stub.next = { error, description }
      await providerButton(who.page, 'Microsoft').click()
      await refused(who, code, heading, status)
      if (heading === null) assert.ok(await banner(who.page).isVisible())
      // The cause is removed: the same person may come in now, and an identity was linked meanwhile.
      stub.next = { claims: microsoftPerson(stub, oid(100 + accounts), ana.email) }
      await primary(who.page)
      await expectHeading(who.page, 'Link Microsoft to your account?')
      await passwordField(who.page).fill(password)
      await button(who.page, 'Link and sign in').click()
      await arrived(who.page)
      assert.equal(back.answers().at(-1).query.state, who.ask.state)
    })
  }

  test('ac_13 ac_23 user_not_provisioned, sso_no_email_claim: nobody comes in uninvited', async (t) => {
    const ana = await account()
    const who = await asked(t)
    stub.next = { claims: person('stranger', 'stranger@example.test') }
    await providerButton(who.page, 'Club').click()
    await refused(who, 'user_not_provisioned', 'You don’t have access yet', 403)
    stub.next = { claims: person('known', ana.email) }
    await primary(who.page)
    await expectHeading(who.page, 'Link Club to your account?')
    await button(who.page, 'Cancel').click()
    stub.next = { claims: person('nameless') }
    await providerButton(who.page, 'Club').click()
    await refused(who, 'sso_no_email_claim', null, 403)
    assert.match(await banner(who.page).innerText(), /Club didn’t share your email/)
    stub.next = { claims: person('known', ana.email) }
    await primary(who.page)
    await expectHeading(who.page, 'Link Club to your account?')
  })

  test('ac_23 account_disabled: the right password of an account that is off', async (t) => {
    const dora = await account()
    await broker.run(['accounts', 'disable', dora.email])
    const who = await asked(t)
    await identify(who.page, dora.email)
    await typePassword(who.page, password)
    await refused(who, 'account_disabled', 'This account is turned off', 403)
    await broker.run(['accounts', 'enable', dora.email])
    await primary(who.page)
    await identify(who.page, dora.email)
    await typePassword(who.page, password)
    await arrived(who.page)
  })

  test('ac_23 sso_state_invalid: an answer that comes twice, or to nobody', async (t) => {
    const who = await asked(t)
    await who.page.goto(`${broker.issuer}/callback/club?code=x&state=made-up`)
    await refused(who, 'sso_state_invalid', 'That took a little too long', 400)
    await primary(who.page)
    await expectHeading(who.page, 'Sign in')
  })

  test('ac_23 connection_disabled: a connection that was turned off while the person was there', async (t) => {
    const ana = await account()
    const who = await asked(t)
    stub.next = {
      claims: person('annex-1', ana.email),
      async meanwhile() {
        stub.next = { claims: person('annex-1', ana.email) }
        await broker.run(['connections', 'disable', 'annex'])
        const other = await asked(t) // another browser sees when the server knows, of the list and of the one
        const login = other.page.url()
        await until(async () => {
          await other.page.goto(login + '/to/annex')
          return await h1(other.page).textContent() === 'Sign in' && await providerButton(other.page, 'Annex').count() === 0
        }, { about: 'the server to know' })
      },
    }
    await providerButton(who.page, 'Annex').click()
    await refused(who, 'connection_disabled', null, 403)
    assert.equal(await providerButton(who.page, 'Annex').count(), 0, 'the button is still there')
    await identify(who.page, ana.email) // another way works
    await typePassword(who.page, password)
    await arrived(who.page)
  })

  test('ac_23 connection_unavailable: the token endpoint is down, then up', async (t) => {
    const ana = await account()
    const who = await asked(t)
    stub.next = { claims: person('up-1', ana.email), token: 503 }
    await providerButton(who.page, 'Club').click()
    await refused(who, 'connection_unavailable', null, 503)
    stub.next = { claims: person('up-1', ana.email) }
    await primary(who.page)
    await expectHeading(who.page, 'Link Club to your account?')
  })

  test('ac_14 ac_23 microsoft_required: the right password, and another provider, lead to Microsoft and not in', async (t) => {
    const mia = await account()
    const first = await asked(t)
    stub.next = { claims: person('mia', mia.email) }
    await providerButton(first.page, 'Club').click()
    await passwordField(first.page).fill(password)
    await button(first.page, 'Link and sign in').click()
    await arrived(first.page)
    await broker.run(['accounts', 'restrict', mia.email, '--only', 'microsoft'])

    for (const js of [true, false]) {
      const who = await browse(t, { js })
      const seen = { status: 0 }
      who.page.on('response', (r) => { if (r.request().isNavigationRequest() && r.url().startsWith(broker.issuer)) seen.status = r.status() })
      await who.page.goto(request({ issuer: broker.issuer }, client, redirectAt(client, back.origin)).url)
      await identify(who.page, mia.email)
      await typePassword(who.page, 'not the password at all')
      await expectHeading(who.page, /password/i)
      assert.doesNotMatch(await who.page.locator('body').innerText(), /administrator/, 'a wrong password tells of the lock')
      await typePassword(who.page, password)
      await refused({ ...who, seen }, 'microsoft_required', /^Microsoft sign.in required$/, 403)
      assert.match(await who.page.locator('main').innerText(), /Your administrator requires Microsoft for this account\./)
      assert.deepEqual((await who.context.cookies()).filter((c) => /session/.test(c.name)), [], 'a session was opened')
    }
    const events = await broker.run(['audit', '--account', mia.id, '--json'])
    const blocked = events.find((e) => e.verb === 'password.blocked_by_policy')
    assert.equal(blocked?.detail?.set_by, 'operator', JSON.stringify(events[0]))

    const google = await asked(t)
    stub.next = { claims: person('mia', mia.email) } // the identity that was linked before the lock
    await providerButton(google.page, 'Club').click()
    await refused(google, 'microsoft_required', /^Microsoft sign.in required$/, 403)

    stub.next = { claims: microsoftPerson(stub, oid(1), mia.email) }
    await primary(google.page) // "Continue with Microsoft"
    await expectHeading(google.page, 'Link Microsoft to your account?')
    assert.equal(await passwordField(google.page).count(), 0, 'the first bind asks for a mailed code as well')
    await button(google.page, 'Email me a code').click()
    const code = await until(async () => {
      const mail = await newestMail(broker, mia.email)
      return /\b\d{6}\b/.exec(mail)?.[0]
    }, { about: 'the mailed code' })
    await passwordField(google.page).fill(password)
    await google.page.locator('input[name=code]').fill(code)
    await button(google.page, 'Link and sign in').click()
    await arrived(google.page)

    const again = await asked(t)
    await providerButton(again.page, 'Microsoft').click()
    await arrived(again.page) // bound: straight through

    const other = await asked(t)
    stub.next = { claims: microsoftPerson(stub, oid(2), mia.email) }
    await providerButton(other.page, 'Microsoft').click()
    await refused(other, 'identity_mismatch', 'Use your usual Microsoft account', 403)
    stub.next = { claims: microsoftPerson(stub, oid(1), mia.email) }
    await primary(other.page)
    await arrived(other.page)

    const guest = await asked(t)
    stub.next = { claims: microsoftPerson(stub, oid(1), mia.email, { acct: 1 }) }
    await providerButton(guest.page, 'Microsoft').click()
    await refused(guest, 'work_account_required', 'Use your work or school account', 403)

    await broker.run(['accounts', 'unrestrict', mia.email])
    const free = await asked(t)
    await identify(free.page, mia.email)
    await typePassword(free.page, password)
    await arrived(free.page)
  })

  test('ac_23 sso_required, bind_refused: a lock on a connection, and one that cannot be tied safely', async (t) => {
    const ivo = await account()
    await broker.run(['accounts', 'restrict', ivo.email, '--only', 'club'])
    const who = await asked(t)
    await identify(who.page, ivo.email)
    await typePassword(who.page, password)
    await refused(who, 'sso_required', 'Your organisation uses Club', 403)
    stub.next = { claims: person('ivo', ivo.email) }
    await primary(who.page)
    await expectHeading(who.page, 'Link Club to your account?')
  })

  test('ac_23 rate_limited: too many passwords, and a provider lets in all the same', async (t) => {
    const ana = await account()
    const who = await asked(t)
    await identify(who.page, ana.email)
    for (let n = 0; n < 6; n++) {
      await passwordField(who.page).waitFor()
      await typePassword(who.page, `wrong password number ${n}`)
      await expectHeading(who.page, /password/i)
    }
    assert.equal(who.seen.status, 429)
    assert.match(await who.page.locator('[role=alert]').innerText(), /Too many attempts/)
    const other = await asked(t)
    stub.next = { claims: person('ana-rl', ana.email) }
    await providerButton(other.page, 'Club').click()
    await expectHeading(other.page, 'Link Club to your account?')
  })

  test('ac_23 client_unknown, redirect_uri_mismatch, request_invalid: shown here, never sent on', async (t) => {
    for (const [code, change] of [
      ['client_unknown', { client_id: 'nobody' }], ['redirect_uri_mismatch', { redirect_uri: 'https://evil.example.com/' }],
    ]) {
      const who = await asked(t, change)
      await refused(who, code, 'This link isn’t valid', 400)
      assert.ok(who.page.url().startsWith(broker.issuer))
      await primary(who.page)
      await expectHeading(who.page, 'Sign in')
    }
  })

  test('ac_23 flow_unknown, flow_elsewhere, not_found: a page that was opened on its own', async (t) => {
    const who = await asked(t)
    await who.page.goto(broker.issuer + '/login/AAAAAAAAAAAAAAAAAAAAAAAAAA')
    await refused(who, 'flow_unknown', 'Let’s start from the app', 404)
    await primary(who.page)
    await expectHeading(who.page, 'Sign in')
    await who.page.goto(broker.issuer + '/nowhere')
    await refused(who, 'not_found', 'Page not found', 404, { event: false }) // strangers fill no audit log
    await primary(who.page)
    await expectHeading(who.page, 'Sign in')
  })

  test('ac_23 cookies_blocked: a browser that keeps no cookie is told so', async (t) => {
    const who = await asked(t)
    const form = await who.page.locator('form[action$="/email"]').getAttribute('action')
    await who.context.clearCookies()
    await who.page.locator('form[action$="/email"] input[name=email]').fill('ana@example.test')
    await button(who.page, 'Continue').click()
    assert.ok(form)
    await refused(who, 'cookies_blocked', 'Turn on cookies', 400)
    await primary(who.page) // it has a cookie again: on it goes
    await expectHeading(who.page, 'Sign in')
  })

  test('ac_23 sso_error of the address shows the banner of a code that there is, and no other text', async (t) => {
    const { page } = await browse(t)
    await page.goto(broker.issuer + '/login?sso_error=user_not_provisioned')
    await expectHeading(page, 'Sign in')
    assert.match(await banner(page).innerText(), /You don’t have access yet/)
    for (const text of ['<b>odd</b>', 'Call%20555%20now', 'internal%00']) {
      await page.goto(`${broker.issuer}/login?sso_error=${text}`)
      assert.equal(await h1(page).textContent(), 'Sign in')
      assert.doesNotMatch(await page.locator('body').innerText(), /odd|555/)
    }
  })
})

async function newestMail(broker, to) {
  const { readFile, readdir } = await import('node:fs/promises')
  const files = (await readdir(broker.mailbox)).filter((f) => f.endsWith('.eml')).sort().reverse()
  for (const f of files) {
    const text = await readFile(`${broker.mailbox}/${f}`, 'utf8')
    if (text.includes(to)) return text
  }
  return ''
}
