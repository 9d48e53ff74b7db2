// The language: what decides it, and that it stays through a login, its errors, its mails and the sign-out.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import { redeem, until } from './harness.mjs'
import { person } from './stub.mjs'
import { enter, identify, input, life, submit, to, wish, setUp, wrong } from './setup.mjs'

const folder = new URL('../../broker/text/catalog/', import.meta.url)
const texts = {} // language → key → text
for (const name of readdirSync(folder)) {
  const [, lang] = name.split('.')
  Object.assign(texts[lang] ??= {}, JSON.parse(readFileSync(new URL(name, folder))))
}

test('ac_35 the catalogs of all four languages have the same keys', () => {
  assert.deepEqual(Object.keys(texts).sort(), ['de', 'en', 'es', 'fr'])
  const keys = Object.keys(texts.en).sort()
  assert.ok(keys.length > 200)
  for (const lang of ['de', 'es', 'fr']) assert.deepEqual(Object.keys(texts[lang]).sort(), keys, lang)
})

describe('ac_34 the language', () => {
  let w
  const ends = life()
  before(async () => { w = await setUp(ends) })

  /** Waits for the page with the heading of a key, and checks that all of it is in this language. */
  async function speaks(page, lang, key, ...args) {
    const want = texts[lang][key].replace(/\{(\d)\}/g, (_, n) => args[n])
    await until(async () => (await page.locator('h1').textContent({ timeout: 1000 })).trim() === want, { about: `“${want}”` })
      .catch(async (error) => assert.fail(`${error.message}; the page says “${await page.locator('h1').textContent()}”`))
    assert.equal(await page.locator('html').getAttribute('lang'), lang)
    const current = page.locator('footer nav [aria-current]')
    if (await page.locator('footer nav').count()) assert.equal(await current.getAttribute('hreflang'), lang)
  }
  const choose = (page, lang) => page.locator(`footer nav a[hreflang=${lang}]`).click()
  const failed = async (page, lang) => {
    await page.locator('[role=alert]').waitFor()
    assert.ok((await page.title()).startsWith(texts[lang]['web.error_prefix'] + ' '), await page.title())
  }
  const atApp = (page) => page.waitForURL((url) => url.origin === w.back.origin)
  const state = () => w.back.answers().at(-1).query.state

  test('ac_34 ui_locales goes before the cookie, and the switch goes before both', async (t) => {
    const { page, ask } = await w.visitor(t, { extra: { ui_locales: 'fr' } })
    await speaks(page, 'fr', 'login.choose.title')
    const login = page.url()
    await choose(page, 'es') // and from now on there is a cookie
    await speaks(page, 'es', 'login.choose.title')
    assert.equal(page.url(), login, 'the switch left the login')

    await page.goto(w.ask().url)
    await speaks(page, 'es', 'login.choose.title')
    await page.goto(w.ask({ ui_locales: 'de' }).url)
    await speaks(page, 'de', 'login.choose.title')
    await page.goto(w.ask({ ui_locales: 'pl fr-CA' }).url)
    await speaks(page, 'fr', 'login.choose.title')

    await page.goto(login) // the first login is where it was, and its switch still goes before its ui_locales
    await speaks(page, 'es', 'login.choose.title')
    const owner = await w.account()
    await identify(page, owner.email)
    await speaks(page, 'es', 'login.password.title')
    await choose(page, 'de')
    await speaks(page, 'de', 'login.password.title')
    assert.equal(await input(page, 'email').inputValue(), owner.email, 'the switch lost the address')
    assert.equal(page.url(), login + '/password')
    await enter(page, 'password', owner.password)
    await atApp(page)
    assert.equal(state(), ask.state)
  })

  for (const [what, lang, begin] of [
    ['that the app asked for', 'fr', (t, client) => w.visitor(t, { client, extra: { ui_locales: 'fr' } })],
    ['that was chosen, whatever the app asked for,', 'de', async (t, client) => {
      const who = await w.visitor(t, { client, extra: { ui_locales: 'fr' } })
      await choose(who.page, 'de')
      await speaks(who.page, 'de', 'login.choose.title')
      return who
    }],
  ]) {
    test(`ac_34 the language ${what} stays through errors, the upstream, mails, consent and sign-out`, async (t) => {
      const owner = await w.account(null)
      const { page, ask } = await begin(t, w.theirs)
      await identify(page, 'nobody at all')
      await failed(page, lang)
      await identify(page, owner.email)
      await enter(page, 'password', wrong)
      await failed(page, lang)
      await speaks(page, lang, 'login.password.title')

      w.stub.next = { error: 'access_denied' }
      await page.locator('main details summary').click()
      await to(page, 'club').click()
      assert.equal(w.stub.asked.ui_locales, lang)
      await page.locator('main .note').waitFor()
      assert.equal(await page.locator('html').getAttribute('lang'), lang)
      assert.match(await page.locator('main .note').innerText(), new RegExp(texts[lang]['error.sso_cancelled.title']))

      w.stub.next = { claims: person('lang-' + lang, owner.email) }
      await to(page, 'club').click()
      await speaks(page, lang, 'login.link.title', 'Club')
      await submit(page, 'resend')
      await input(page, 'code').fill('000000')
      await submit(page, 'link')
      await failed(page, lang)
      const mailed = await w.mail(owner.email)
      assert.match(mailed, new RegExp(texts[lang]['mail.code.greeting']))
      await input(page, 'code').fill(await w.code(owner.email))
      await submit(page, 'link')

      await speaks(page, lang, 'oidc.consent_title', 'Scores', 'Gatehouse')
      assert.match(await w.mail(owner.email, 2), new RegExp(texts[lang]['mail.linked.greeting'].replace('{connection}', 'Club').replace('{product}', 'Gatehouse')))
      await page.route('**/authorize?consent=*', (route) => route.fulfill({ status: 204 })) // stay on the hand-off page
      await page.locator('button[value=allow]').click()
      await speaks(page, lang, 'web.handoff', 'Scores')
      await page.unrouteAll()
      await page.locator('main a.primary').click({ timeout: 3000 }).catch(() => {}) // unless the page has gone on by itself
      await atApp(page)
      assert.equal(state(), ask.state)

      await page.goto(`${w.issuer}/end_session${lang === 'fr' ? '?ui_locales=fr' : ''}`)
      await speaks(page, lang, 'oidc.signout_title', 'Gatehouse')
      await page.locator('button[value=stay]').click()
      await speaks(page, lang, 'oidc.stayed_title')
      await page.goto(`${w.issuer}/end_session${lang === 'fr' ? '?ui_locales=fr' : ''}`)
      await page.locator('button[value=leave]').click()
      await speaks(page, lang, 'oidc.signedout_title')
    })
  }

  test('ac_34 a switch on the consent and the sign-out page stays, and a refusal has the language of its login', async (t) => {
    const owner = await w.account()
    const { page, ask } = await w.visitor(t, { client: w.theirs, extra: { ui_locales: 'fr' } })
    await identify(page, owner.email)
    await enter(page, 'password', owner.password)
    await speaks(page, 'fr', 'oidc.consent_title', 'Scores', 'Gatehouse')
    await choose(page, 'es')
    await speaks(page, 'es', 'oidc.consent_title', 'Scores', 'Gatehouse')
    await page.reload()
    await speaks(page, 'es', 'oidc.consent_title', 'Scores', 'Gatehouse')
    await page.route('**/authorize?consent=*', (route) => route.fulfill({ status: 204 }))
    await page.locator('button[value=allow]').click()
    await speaks(page, 'es', 'web.handoff', 'Scores')
    await page.unrouteAll()
    await page.locator('main a.primary').click({ timeout: 3000 }).catch(() => {}) // unless the page has gone on by itself
    await atApp(page)
    assert.equal(state(), ask.state)

    await page.goto(w.issuer + '/end_session?ui_locales=fr')
    await speaks(page, 'fr', 'oidc.signout_title', 'Gatehouse')
    await choose(page, 'de')
    await speaks(page, 'de', 'oidc.signout_title', 'Gatehouse')
    await page.locator('button[value=leave]').click()
    await speaks(page, 'de', 'oidc.signedout_title')

    await w.broker.run(['accounts', 'disable', owner.email])
    const other = await w.visitor(t, { extra: { ui_locales: 'de' } })
    await identify(other.page, owner.email)
    await enter(other.page, 'password', owner.password)
    await speaks(other.page, 'de', 'error.account_disabled.title')
  })

  test('ac_34 a new account and its mails have the language of the login that made it', async (t) => {
    const { page, ask } = await w.visitor(t, { extra: { ui_locales: 'fr' } })
    const email = w.stranger()
    await wish(page, 'new')
    await speaks(page, 'fr', 'login.new.title')
    await choose(page, 'de')
    await speaks(page, 'de', 'login.new.title')
    await identify(page, email)
    await speaks(page, 'de', 'login.code.title')
    assert.match(await w.mail(email), new RegExp(texts.de['mail.code.greeting']))
    await input(page, 'code').fill(await w.code(email))
    await submit(page, 'code')
    await input(page, 'given_name').fill('Ana')
    await enter(page, 'register', 'nine lanterns over water')
    await atApp(page)
    const made = await redeem(w, ask, w.back.answers().at(-1).query.code)
    assert.equal(made.userinfo.locale, 'de')
  })
})
