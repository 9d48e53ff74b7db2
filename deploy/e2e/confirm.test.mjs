// The confirmation of a link: every way to give it, and everything that must not link.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { redeem, until } from './harness.mjs'
import { button, expectHeading, field, passwordField, providerButton } from './steps.mjs'
import { person } from './stub.mjs'
import { enter, identify, life, setUp, wrong } from './setup.mjs'

describe('a link', () => {
  let w
  const ends = life()
  before(async () => { w = await setUp(ends) })

  const atApp = (page) => page.waitForURL((url) => url.origin === w.back.origin)
  const last = () => w.back.answers().at(-1).query
  const subjectOf = async (ask) => (await redeem(w, ask, last().code)).claims.sub
  /** Comes from a provider in a fresh browser. */
  async function comes(t, claims, name = 'Club', options) {
    const who = await w.visitor(t, options)
    w.stub.next = { claims }
    await providerButton(who.page, name).click()
    return who
  }

  test('ac_09 a wrong password links nothing, the right one does, and then the provider is enough', async (t) => {
    const owner = await w.account()
    const claims = person('c-09', owner.email)
    const { page, ask } = await comes(t, claims)
    await expectHeading(page, 'Link Club to your account?')
    await passwordField(page).fill(wrong)
    await button(page, 'Link and sign in').click()
    await page.locator('[role=alert]').waitFor()
    assert.deepEqual(await w.linked(owner.email), [])
    await passwordField(page).fill(owner.password)
    await button(page, 'Link and sign in').click()
    await atApp(page)
    assert.equal(await subjectOf(ask), owner.id)
    assert.deepEqual(await w.linked(owner.email), ['club'])

    const next = await comes(t, claims)
    await atApp(next.page)
    assert.equal(await subjectOf(next.ask), owner.id)
  })

  test('ac_10 after Cancel, Back shows a page whose link is dead, and the login goes on without it', async (t) => {
    const owner = await w.account()
    const { page, ask } = await comes(t, person('c-10', owner.email))
    await expectHeading(page, 'Link Club to your account?')
    await button(page, 'Cancel').click()
    await expectHeading(page, 'Sign in')
    await page.goBack()
    await page.waitForLoadState()
    if (await passwordField(page).count()) { // the browser kept the page
      await passwordField(page).fill(owner.password)
      await button(page, 'Link and sign in').click()
    }
    await expectHeading(page, 'Sign in')
    assert.deepEqual(await w.linked(owner.email), [])
    await identify(page, owner.email)
    await enter(page, 'password', owner.password)
    await atApp(page)
    assert.equal(await subjectOf(ask), owner.id)
    assert.deepEqual(await w.linked(owner.email), [])
  })

  test('ac_10 a second tab that signs in to another account neither links nor lets the first one link', async (t) => {
    const owner = await w.account()
    const other = await w.account()
    const { page, context, ask } = await comes(t, person('c-10-tab', owner.email))
    await expectHeading(page, 'Link Club to your account?')
    const tab = await context.newPage()
    await tab.goto(page.url())
    await button(tab, 'Cancel').click()
    await identify(tab, other.email)
    await enter(tab, 'password', other.password)
    await atApp(tab)
    assert.equal(await subjectOf(ask), other.id)

    await passwordField(page).fill(owner.password)
    await button(page, 'Link and sign in').click()
    await until(() => page.url().startsWith(w.back.origin) || page.locator('h1').textContent().then((text) => !text.includes('Link Club')))
    assert.deepEqual([await w.linked(owner.email), await w.linked(other.email)], [[], []])

    // Nobody is signed in as the owner: the browser's session is the other one's.
    await page.goto(w.issuer + '/account')
    await expectHeading(page, 'Your account')
    assert.match(await page.locator('main').innerText(), new RegExp(other.email))
  })

  test('ac_10 a reload and a second tab show the same question, and answering it in one ends it in the other', async (t) => {
    const owner = await w.account()
    const { page, context } = await comes(t, person('c-10-two', owner.email))
    await expectHeading(page, 'Link Club to your account?')
    await page.reload()
    await expectHeading(page, 'Link Club to your account?')
    assert.deepEqual(await w.linked(owner.email), [])
    const tab = await context.newPage()
    await tab.goto(page.url())
    await passwordField(tab).fill(owner.password)
    await button(tab, 'Link and sign in').click()
    await atApp(tab)
    await passwordField(page).fill(owner.password)
    await button(page, 'Link and sign in').click()
    await atApp(page) // it ended well, so this leads to the same end
    assert.deepEqual(await w.linked(owner.email), ['club'])
    await w.mail(owner.email)
    assert.equal((await w.mails(owner.email)).length, 1)
  })

  test('ac_11 an account without a password is linked by a mailed code', async (t) => {
    const owner = await w.account(null)
    const claims = person('c-11', owner.email)
    const { page, ask } = await comes(t, claims)
    await expectHeading(page, 'Link Club to your account?')
    assert.equal(await passwordField(page).count(), 0)
    await button(page, 'Email me a code').click()
    await field(page, 'Code').fill('000000')
    await button(page, 'Link and sign in').click()
    await page.locator('[role=alert]').waitFor()
    assert.deepEqual(await w.linked(owner.email), [])
    await field(page, 'Code').fill(await w.code(owner.email))
    await button(page, 'Link and sign in').click()
    await atApp(page)
    assert.equal(await subjectOf(ask), owner.id)
    assert.deepEqual(await w.linked(owner.email), ['club'])
  })

  test('ac_11 an account without a password is linked by the provider it has, and by nobody else’s account there', async (t) => {
    const mail = w.stranger()
    const club = person('c-11-has', mail)
    const made = await comes(t, club)
    await button(made.page, 'Create account').click()
    await atApp(made.page)
    const owner = await subjectOf(made.ask)

    const annex = person('c-11-new', mail)
    const { page, ask } = await comes(t, annex, 'Annex', { js: false })
    await expectHeading(page, 'Link Annex to your account?')
    assert.equal(await passwordField(page).count(), 0)
    assert.equal(await button(page, 'Email me a code').count(), 1)
    w.stub.next = { claims: person('c-11-stranger', w.stranger()) }
    await providerButton(page, 'Club').click()
    await expectHeading(page, 'Link Annex to your account?')
    assert.match(await page.locator('main .note').innerText(), /That Club account can’t confirm this/)
    assert.deepEqual(await w.linked(mail), ['club'])
    w.stub.next = { claims: club }
    await providerButton(page, 'Club').click()
    await atApp(page)
    assert.equal(await subjectOf(ask), owner)
    assert.deepEqual((await w.linked(mail)).sort(), ['annex', 'club'])

    const again = await comes(t, annex, 'Annex')
    await atApp(again.page)
    assert.equal(await subjectOf(again.ask), owner)
  })

  test('ac_12 the short registration is filled in, is sent twice, and makes one account', async (t) => {
    const email = w.stranger()
    const claims = { ...person('c-12', email), given_name: 'Noor', family_name: 'Person' }
    const { page, ask, context } = await comes(t, claims)
    await expectHeading(page, 'Create your account')
    assert.deepEqual([await field(page, 'First name').inputValue(), await field(page, 'Last name').inputValue(), await field(page, 'Email address').inputValue()],
      ['Noor', 'Person', email])
    assert.match(await page.locator('main').innerText(), /Verified by Club/)
    assert.equal(await field(page, 'Email address').getAttribute('readonly'), '')
    const before = (await w.broker.run(['accounts', 'list', '--json'])).length
    const tab = await context.newPage()
    await tab.goto(page.url())
    await button(page, 'Create account').click()
    await atApp(page)
    const owner = await subjectOf(ask)
    await button(tab, 'Create account').click()
    await atApp(tab)
    assert.equal((await w.broker.run(['accounts', 'list', '--json'])).length, before + 1)
    const next = await comes(t, claims)
    await atApp(next.page)
    assert.equal(await subjectOf(next.ask), owner)
  })

  test('ac_13 a provider without an address: it is asked for, proven by a code, and only then registered', async (t) => {
    const email = w.stranger()
    const { page, ask } = await comes(t, person('c-13'))
    await expectHeading(page, 'What’s your email address?')
    await field(page, 'Email address').fill(email)
    await button(page, 'Send a code').click()
    await expectHeading(page, 'Check your email')
    await page.goto(page.url()) // there is no way round it
    await expectHeading(page, 'Check your email')
    await field(page, 'Code').fill('000000')
    await button(page, 'Continue').click()
    await page.locator('[role=alert]').waitFor()
    await field(page, 'Code').fill(await w.code(email))
    await button(page, 'Continue').click()
    await expectHeading(page, 'Create your account')
    assert.match(await page.locator('main').innerText(), /Confirmed by code/)
    await button(page, 'Create account').click()
    await atApp(page)
    const tokens = await redeem(w, ask, last().code)
    assert.equal(tokens.userinfo.email, email)
    assert.equal(tokens.userinfo.email_verified, true)
  })

  test('ac_13 a provider without an address and one that has an account: after the code it still takes the password', async (t) => {
    const owner = await w.account()
    const { page } = await comes(t, person('c-13-known'))
    await field(page, 'Email address').fill(owner.email)
    await button(page, 'Send a code').click()
    await field(page, 'Code').fill(await w.code(owner.email))
    await button(page, 'Continue').click()
    await expectHeading(page, 'Link Club to your account?')
    assert.deepEqual(await w.linked(owner.email), [])
    await passwordField(page).fill(owner.password)
    await button(page, 'Link and sign in').click()
    await atApp(page)
    assert.deepEqual(await w.linked(owner.email), ['club'])
  })
})
