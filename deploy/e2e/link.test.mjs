// Linking and registration: never a second account by accident, and never the wrong one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { app, person, redeem, redirectAt, request, startDemo, until } from './harness.mjs'
import { arrive, become, button, expectHeading, field, passwordField, providerButton, signIn, signInWith } from './steps.mjs'

async function setting(t, options) {
  const demo = await startDemo(t)
  const back = await app(t)
  const redirect = redirectAt(demo.native, back.origin)
  let answers = 0
  /** Starts a login of the app in a browser. */
  const begin = async (page, extra) => {
    const ask = request(demo, demo.native, redirect, extra)
    await page.goto(ask.url)
    return ask
  }
  /** Follows a login to its end and returns the ID token's claims. */
  const finish = async (page, ask) => {
    const answer = await arrive(page, back, ++answers)
    const tokens = await redeem(demo, ask, answer.code)
    assert.equal(tokens.status, 200, JSON.stringify(tokens))
    return { ...tokens.userinfo, ...tokens.claims }
  }
  return { demo, back, begin, finish, google: demo.connection('google'), ana: demo.persona('google', 'ana'), ...await person(t, options) }
}

/** Returns the sub of the account with the password, from a browser of its own. */
async function subjectOf(t, { demo, begin, finish }) {
  const { page } = await person(t)
  const ask = await begin(page)
  await signIn(page, demo.account)
  return (await finish(page, ask)).sub
}

for (const js of [true, false]) {
  test(`ac_09 a verified address with an account is linked by its password once, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const s = await setting(t, { js })
    const owner = await subjectOf(t, s)
    const ask = await s.begin(s.page)
    await signInWith(s.page, s.google, s.ana)
    await expectHeading(s.page, 'Link Google to your account?')
    await passwordField(s.page).fill('not the password at all')
    await button(s.page, 'Link and sign in').click()
    await until(async () => /^Error: /.test(await s.page.title()))
    assert.equal(await s.page.locator('[role=alert]').count(), 1)
    assert.equal(s.back.answers().length, 1, 'a wrong password signed somebody in')

    await passwordField(s.page).fill(s.demo.account.password)
    await button(s.page, 'Link and sign in').click()
    assert.equal((await s.finish(s.page, ask)).sub, owner)
    await until(async () => (await s.demo.mails(s.demo.account.email)).length === 1, { about: 'the mail that tells the owner of the link' })

    const next = await person(t, { js }) // another browser: only the link can sign it in
    const again = await s.begin(next.page)
    await signInWith(next.page, s.google, s.ana)
    assert.equal((await s.finish(next.page, again)).sub, owner)
    assert.deepEqual([...s.log.complaints, ...next.log.complaints], [])
  })
}

test('ac_10 cancelling, reloading, going back and a second tab never link', async (t) => {
  const s = await setting(t)
  const { page, context } = s
  const onLinkPage = async () => {
    await s.begin(page)
    await signInWith(page, s.google, s.ana)
    await expectHeading(page, 'Link Google to your account?')
  }
  const stillUnlinked = async (what) => {
    assert.equal(s.back.answers().length, 0, `${what}: the app was reached`)
    const { page: fresh } = await person(t)
    await s.begin(fresh)
    await signInWith(fresh, s.google, s.ana)
    await expectHeading(fresh, 'Link Google to your account?')
  }

  await onLinkPage()
  const stale = await page.evaluate(() => {
    const form = document.querySelector('input[type=password]').form
    return { action: form.action, fields: Object.fromEntries(new FormData(form)) }
  })
  await page.getByText('Cancel', { exact: true }).click()
  await expectHeading(page, 'Sign in')
  // What the page held is worth nothing any more, the right password included.
  const late = await page.evaluate(async ({ stale, password }) => {
    const body = new URLSearchParams({ ...stale.fields, password })
    const res = await fetch(stale.action, { method: 'POST', body })
    return res.text()
  }, { stale, password: s.demo.account.password })
  assert.doesNotMatch(late, /http-equiv="refresh"/)
  await stillUnlinked('cancel')

  await onLinkPage()
  await page.reload()
  await expectHeading(page, 'Link Google to your account?')
  await stillUnlinked('reload')
  await page.goBack()
  await page.waitForLoadState()
  await stillUnlinked('back')

  await onLinkPage()
  const tab = await context.newPage()
  await tab.goto(page.url())
  await expectHeading(tab, 'Link Google to your account?')
  await tab.getByText('Cancel', { exact: true }).click()
  await expectHeading(tab, 'Sign in')
  await passwordField(page).fill(s.demo.account.password)
  await button(page, 'Link and sign in').click()
  await expectHeading(page, 'Sign in')
  await stillUnlinked('second tab')
})

test('ac_12 an unknown address gets one account by a short registration', async (t) => {
  const s = await setting(t)
  const noor = s.demo.persona('google', 'new.person')
  const before = (await s.demo.run(['accounts', 'list'])).length
  const ask = await s.begin(s.page)
  await signInWith(s.page, s.google, noor)
  await expectHeading(s.page, 'Create your account')
  assert.equal(await s.page.locator('[autocomplete=given-name]').inputValue(), 'Noor')
  assert.equal(await s.page.locator('[autocomplete=family-name]').inputValue(), 'Person')
  assert.equal(await field(s.page, 'Email address').inputValue(), noor.email)
  await button(s.page, 'Create account').click()
  const first = await s.finish(s.page, ask)
  assert.equal(first.email, noor.email)

  const next = await person(t)
  const again = await s.begin(next.page)
  await signInWith(next.page, s.google, noor)
  assert.equal((await s.finish(next.page, again)).sub, first.sub)
  const accounts = await s.demo.run(['accounts', 'list'])
  assert.equal(accounts.length, before + 1)
  assert.equal(accounts.filter((a) => a.email === noor.email).length, 1)
})

test('ac_12 who has an account under another address links it instead of making a second one', async (t) => {
  const s = await setting(t)
  const owner = await subjectOf(t, s)
  const noor = s.demo.persona('google', 'new.person')
  const before = (await s.demo.run(['accounts', 'list'])).length
  const ask = await s.begin(s.page)
  await signInWith(s.page, s.google, noor)
  await expectHeading(s.page, 'Create your account')
  await s.page.getByText(/Sign in and link/).click()
  await s.page.getByRole('textbox', { name: /^Email address of your/ }).fill(s.demo.account.email)
  await passwordField(s.page).fill(s.demo.account.password)
  await s.page.getByRole('button', { name: /link/i }).click()
  assert.equal((await s.finish(s.page, ask)).sub, owner)

  const next = await person(t)
  const again = await s.begin(next.page)
  await providerButton(next.page, s.google.name).click()
  await become(next.page, noor)
  assert.equal((await s.finish(next.page, again)).sub, owner)
  assert.equal((await s.demo.run(['accounts', 'list'])).length, before)
})
