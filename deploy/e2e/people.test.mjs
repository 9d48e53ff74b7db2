// Pages for everybody: whoever asks, in whatever language, with a keyboard, with a screen reader, without motion.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person as browse, redirectAt, request, until } from './harness.mjs'
import { microsoftPerson, person, startStub } from './stub.mjs'
import { button, expectHeading, field, h1, identify, passwordField, providerButton, typePassword } from './steps.mjs'

const tenant = '11111111-2222-3333-4444-555555555555'
const password = 'seven boats at noon'
const folder = new URL('../../broker/text/catalog/', import.meta.url)
const catalog = (lang) => Object.assign({}, ...readdirSync(folder).filter((f) => f.endsWith(`.${lang}.json`)).map((f) => JSON.parse(readFileSync(new URL(f, folder)))))

describe('pages for everybody', () => {
  let broker, stub, back, first, third, accounts = 0
  const ends = []
  const life = { after: (f) => ends.push(f) }
  after(async () => { for (const end of ends.reverse()) await end() })
  before(async () => {
    stub = await startStub(life, tenant)
    broker = await deployment(life, 'SQLite', { env: { GATEHOUSE_LANGUAGES: 'en,fr,es,de,ar-XB' } })
    await broker.connect('club', 'Club', stub)
    await broker.connect('annex', 'Annex', stub)
    await broker.run(['connections', 'add', 'microsoft', '--kind', 'microsoft', '--name', 'Microsoft', '--client-id', stub.client_id,
      '--client-secret-file', '-', '--set', `tenant=${tenant}`, '--set', `authority=${stub.issuer}`, '--json'], stub.client_secret)
    back = await app(life)
    first = await broker.addClient('--name', 'Courts', '--redirect-uri', 'http://127.0.0.1/callback', '--auth-method', 'none', '--native', '--first-party')
    third = await broker.addClient('--name', 'Wiki', '--redirect-uri', 'http://127.0.0.1/callback', '--auth-method', 'none', '--native')
    await broker.serve()
  })

  const account = async () => {
    const email = `people${++accounts}@example.test`
    return { email, ...await broker.addAccount(email, password) }
  }
  const ask = (client, extra) => request({ issuer: broker.issuer }, client, redirectAt(client, back.origin), extra)
  async function asked(t, { client = first, extra, ...options } = {}) {
    const who = await browse(t, options)
    const wish = ask(client, extra)
    await who.page.goto(wish.url)
    return { ...who, wish }
  }
  const arrived = (page) => until(async () => page.url().startsWith(back.origin), { about: 'the app' })
  const mailed = async (to, number = 1) => until(async () => {
    const { readFile, readdir } = await import('node:fs/promises')
    const files = (await readdir(broker.mailbox)).filter((f) => f.endsWith('.eml')).sort()
    const mails = (await Promise.all(files.map((f) => readFile(`${broker.mailbox}/${f}`, 'utf8')))).filter((m) => m.includes(to))
    return mails.length >= number && mails[number - 1]
  }, { about: `mail ${number} to ${to}` })
  const codeIn = (mail) => /\b\d{6}\b/.exec(mail)[0]

  describe('ac_08 the answers for an address with an account and for one without are the same bytes', () => {
    /** The page as it was sent, without what differs for everybody: the login's id, the address, the ceremony. */
    async function sent(t, go, email) {
      const who = await asked(t, { js: false })
      const bodies = []
      who.page.on('response', (r) => {
        if (r.request().isNavigationRequest() && r.url().startsWith(broker.issuer) && (r.status() < 300 || r.status() >= 400)) {
          bodies.push(r.text().then((text) => `${r.status()} ${Object.keys(r.headers()).filter((h) => h !== 'date').sort()}\n${text}`))
        }
      })
      await go(who.page, email)
      return (await Promise.all(bodies)).map((b) => b.replaceAll(/\/login\/[A-Z2-7]{26}/g, '/login/ID').replaceAll(email, 'EMAIL')
        .replaceAll(/name="ceremony" value="[^"]*"/g, 'CEREMONY').replaceAll(/\d\d:\d\d/g, 'TIME').replaceAll(/(code|handle|state)=[^"&]*/g, 'ONCE'))
    }
    for (const [what, go] of Object.entries({
      'identifier step and password page': (page, email) => identify(page, email),
      'wrong password': async (page, email) => {
        await identify(page, email)
        await typePassword(page, 'not the password at all')
        await page.locator('[role=alert]').waitFor()
      },
      'registration by address': async (page, email) => {
        await button(page, 'New here? Create an account').click()
        await field(page, 'Email address').fill(email)
        await page.locator('form[action$="/email"] button').click()
        await expectHeading(page, 'Check your email')
      },
      'an address that a provider only asserts': async (page, email) => {
        stub.next = { claims: person('asserted-' + email, email, { email_verified: false }) }
        await providerButton(page, 'Club').click()
        await expectHeading(page, 'Almost there')
        await page.locator('button[value=own]').click()
        await passwordField(page).waitFor()
      },
    })) {
      test(`ac_08 E1 C7 ${what}`, async (t) => {
        const { email } = await account()
        const known = await sent(t, go, email)
        const unknown = await sent(t, go, email.replace('people', 'nobody'))
        assert.ok(known.length > 0)
        assert.deepEqual(known, unknown)
      })
    }
  })

  test('ac_11 an account without a password is linked by a mailed code, and by a provider it has', async (t) => {
    const email = `people${++accounts}@example.test`
    await broker.run(['accounts', 'add', email, '--json'])
    const one = await asked(t)
    stub.next = { claims: person('eleven-club', email) }
    await providerButton(one.page, 'Club').click()
    await expectHeading(one.page, 'Link Club to your account?')
    assert.equal(await passwordField(one.page).count(), 0)
    await button(one.page, 'Email me a code').click()
    await one.page.locator('input[name=code]').fill(codeIn(await mailed(email)))
    await button(one.page, 'Link and sign in').click()
    await arrived(one.page)

    const two = await asked(t, { js: false })
    stub.next = { claims: person('eleven-annex', email) }
    await providerButton(two.page, 'Annex').click()
    await expectHeading(two.page, 'Link Annex to your account?')
    stub.next = { claims: person('eleven-club', email) }
    await providerButton(two.page, 'Club').click()
    await arrived(two.page)
    const { identities } = await broker.run(['accounts', 'show', email, '--json'])
    assert.deepEqual(identities.map((i) => i.connection).sort(), ['annex', 'club'])
  })

  test('ac_13 a provider that shares no address: one is asked for and proven by a code', async (t) => {
    const email = `new${++accounts}@example.test`
    const { page } = await asked(t)
    stub.next = { claims: person('thirteen') }
    await providerButton(page, 'Club').click()
    await expectHeading(page, 'What’s your email address?')
    await field(page, 'Email address').fill(email)
    await page.locator('form[action$="/email"] button').click()
    await expectHeading(page, 'Check your email')
    await page.locator('[autocomplete=one-time-code]').fill(codeIn(await mailed(email)))
    await button(page, 'Confirm account').click()
    await expectHeading(page, 'Almost there')
    await button(page, 'Create account').click()
    await arrived(page)
    assert.equal((await broker.run(['accounts', 'show', email, '--json'])).identities.length, 1)
  })

  test('ac_34 the language: the switch, then ui_locales, then what was chosen before; through providers, errors, mails and the sign-out', async (t) => {
    const [fr, de, es] = ['fr', 'de', 'es'].map(catalog)
    const { page } = await asked(t, { extra: { ui_locales: 'fr' } })
    await expectHeading(page, fr['login.choose.title'])
    await page.goto(broker.issuer + '/login?lang=fr') // a choice of long ago, in a cookie
    await page.goto(ask(first, { ui_locales: 'de' }).url)
    await expectHeading(page, de['login.choose.title'])
    const login = new URL(page.url()).pathname
    await page.getByRole('link', { name: 'Español', exact: true }).click()
    await expectHeading(page, es['login.choose.title'])
    assert.equal(new URL(page.url()).pathname, login, 'the switch began another login')
    stub.next = { error: 'access_denied' }
    await page.getByRole('link', { name: /Club/ }).click()
    await expectHeading(page, es['login.choose.title'])
    assert.match(await page.locator('main').innerText(), new RegExp(es['error.sso_cancelled.title']))
    const email = `nueva${++accounts}@example.test`
    stub.next = { claims: person('thirty-four', email, { email_verified: false }) }
    await page.getByRole('link', { name: /Club/ }).last().click()
    await expectHeading(page, es['login.neutral.title'])
    await page.locator('button[value=new]').click()
    await expectHeading(page, es['login.code.title'])
    const mail = await mailed(email)
    assert.ok(mail.replaceAll('=\r\n', '').includes('=C3=B3') || /código/i.test(mail), 'the mail is not in Spanish')
    await page.goto(broker.issuer + '/end_session?ui_locales=de')
    assert.equal(await page.locator('html').getAttribute('lang'), 'de')
    await page.goto(broker.issuer + '/end_session')
    assert.equal(await page.locator('html').getAttribute('lang'), 'es', 'the sign-out forgot the choice')
  })

  test('ac_35 four languages have the same keys, and right to left fits with room between the letters', async (t) => {
    const keys = Object.keys(catalog('en')).sort()
    for (const lang of ['fr', 'es', 'de']) assert.deepEqual(Object.keys(catalog(lang)).sort(), keys, lang)
    const { email } = await account()
    const who = await asked(t, { extra: { ui_locales: 'ar-XB' }, viewport: { width: 320, height: 640 } })
    const { page } = who
    const fits = async (what) => {
      assert.equal(await page.locator('html').getAttribute('dir'), 'rtl', what)
      await page.evaluate(() => { // WCAG 1.4.12
        const sheet = new CSSStyleSheet()
        sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }')
        document.adoptedStyleSheets = [sheet]
      })
      const cut = await page.evaluate(() => [document.documentElement.scrollWidth > innerWidth ? 'the page scrolls sideways' : '',
        ...[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && e.clientWidth > 1 && e.children.length === 0 && e.tagName !== 'INPUT' &&
          (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1) && ['hidden', 'clip'].includes(getComputedStyle(e).overflowX))
          .map((e) => e.outerHTML.slice(0, 80))].filter(Boolean))
      assert.deepEqual(cut, [], what)
    }
    await fits('sign-in')
    await page.locator('input[name=email]').fill(email)
    await page.locator('form[action$="/email"] button').click()
    await passwordField(page).waitFor()
    await fits('password')
    await passwordField(page).fill('not the password at all')
    await page.locator('form[action$="/password"] button[type=submit]').click()
    await page.locator('[role=alert]').waitFor()
    await fits('wrong password')
    stub.next = { claims: person('rtl', email) }
    await page.goto(ask(first, { ui_locales: 'ar-XB', connection: 'club' }).url)
    await passwordField(page).waitFor()
    await fits('link')
    stub.next = { claims: person('rtl-new', `rtl${++accounts}@example.test`) }
    await page.goto(ask(first, { ui_locales: 'ar-XB', connection: 'club' }).url)
    await page.locator('input[name=given_name]').waitFor()
    await fits('register')
    await page.goto(ask(first, { ui_locales: 'ar-XB', client_id: 'nobody' }).url)
    await h1(page).waitFor()
    await fits('refusal')
  })

  /** Presses Tab until the element is reached, and looks at every stop on the way. */
  async function tabTo(page, locator) {
    const target = await locator.elementHandle()
    for (let n = 0; n < 40; n++) {
      const stop = await page.evaluate((target) => {
        const e = document.activeElement
        if (!e || e === document.body) return { body: true }
        const rgb = (c) => (c.match(/[\d.]+/g) ?? []).map(Number)
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
        let behind = e.parentElement
        while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement
        const style = getComputedStyle(e)
        const [a, b] = [light(rgb(style.outlineColor)), light(behind ? rgb(getComputedStyle(behind).backgroundColor) : [255, 255, 255])].sort((x, y) => y - x)
        const box = e.getBoundingClientRect()
        return {
          here: e === target, what: e.outerHTML.slice(0, 80), style: style.outlineStyle, width: parseFloat(style.outlineWidth),
          contrast: (a + 0.05) / (b + 0.05), seen: box.bottom > 0 && box.top < innerHeight,
        }
      }, target)
      if (!stop.body) {
        assert.ok(stop.style !== 'none' && stop.width >= 2 && stop.contrast >= 3 && stop.seen, `the focus is not seen: ${JSON.stringify(stop)}`)
      }
      if (stop.here) return
      await page.keyboard.press('Tab')
    }
    assert.fail(`${locator} is not reached with the keyboard at ${page.url()}`)
  }

  for (const colorScheme of ['light', 'dark']) {
    test(`ac_38 everything is done with a keyboard alone, ${colorScheme}`, async (t) => {
      const ana = await account()
      const { page } = await asked(t, { client: third, colorScheme })
      await tabTo(page, field(page, 'Email address'))
      await page.keyboard.type('not an address')
      await page.keyboard.press('Enter')
      await until(async () => /^Error: /.test(await page.title()), { about: 'a title that says Error' })
      assert.equal(await page.evaluate(() => document.activeElement.name), 'email', 'the focus is not on what is wrong')
      await page.keyboard.press('Control+A')
      await page.keyboard.type(ana.email)
      await page.keyboard.press('Enter')
      await passwordField(page).waitFor()
      assert.equal(await page.evaluate(() => document.activeElement.type), 'password')
      await page.keyboard.type('not the password at all')
      await page.keyboard.press('Enter')
      await until(async () => /^Error: /.test(await page.title()), { about: 'a title that says Error' })
      assert.equal(await page.evaluate(() => document.activeElement.type), 'password')
      await page.keyboard.type(password)
      await tabTo(page, button(page, 'Sign in'))
      await page.keyboard.press('Enter')
      await button(page, 'Allow').waitFor()
      await tabTo(page, button(page, 'Allow'))
      await page.keyboard.press('Enter')
      await arrived(page)

      const next = await asked(t, { colorScheme })
      stub.next = { claims: person('keys-' + colorScheme, ana.email) }
      await tabTo(next.page, providerButton(next.page, 'Club'))
      await next.page.keyboard.press('Enter')
      await expectHeading(next.page, 'Link Club to your account?')
      assert.equal(await next.page.evaluate(() => document.activeElement.type), 'password')
      await next.page.keyboard.type(password)
      await next.page.keyboard.press('Enter')
      await arrived(next.page)
      await next.page.goto(broker.issuer + '/account')
      await tabTo(next.page, button(next.page, 'Link Annex'))
    })
  }

  test('ac_39 what went wrong, and what was done, is said to a screen reader', async (t) => {
    const ana = await account()
    const { page } = await asked(t)
    const wrong = async (input) => {
      const alert = page.getByRole('alert')
      await alert.waitFor()
      assert.equal(await alert.count(), 1)
      const name = await input.getAttribute('id')
      assert.equal(await input.getAttribute('aria-invalid'), 'true')
      const ids = (await input.getAttribute('aria-describedby')).split(' ')
      const said = await page.evaluate((ids) => ids.map((id) => document.getElementById(id)?.textContent.trim() ?? '').join(' '), ids)
      assert.ok(said.length > 5, 'the field is described by nothing')
      assert.equal(await alert.locator(`a[href="#${name}"]`).count(), 1, 'the summary does not lead to the field')
    }
    await field(page, 'Email address').fill('nobody at all')
    await button(page, 'Continue').click()
    await wrong(page.locator('input[name=email]'))
    await page.locator('input[name=email]').fill(ana.email)
    await button(page, 'Continue').click()
    await passwordField(page).waitFor()
    await typePassword(page, 'not the password at all')
    await wrong(passwordField(page))

    const email = `screen${++accounts}@example.test`
    const next = await asked(t)
    stub.next = { claims: person('screen', email, { email_verified: false }) }
    await providerButton(next.page, 'Club').click()
    await next.page.locator('button[value=new]').click()
    await expectHeading(next.page, 'Check your email')
    assert.equal(await next.page.getByRole('status').filter({ hasText: 'New code sent' }).count(), 0)
    await next.page.goto(next.page.url().split('?')[0] + '?sent=1') // as it is shown after "Send a new code", which waits for half a minute
    await next.page.getByRole('status').filter({ hasText: 'New code sent' }).waitFor()
  })

  test('ac_42 without motion nothing moves, and forced colours leave every button its border', async (t) => {
    const ana = await account()
    const { page } = await asked(t, { reducedMotion: 'reduce', forcedColors: 'active' })
    const still = async (what) => {
      const found = await page.evaluate(() => [...document.querySelectorAll('*')].flatMap((e) => {
        const s = getComputedStyle(e)
        const moves = [s.transitionDuration, s.animationDuration].some((d) => d.split(',').some((v) => parseFloat(v) !== 0))
        const bare = e.matches('.btn, button:not(.link):not(.reveal), .idp') && e.checkVisibility() &&
          (parseFloat(s.borderTopWidth) < 1 || s.borderTopStyle === 'none' || s.borderTopColor === s.backgroundColor)
        return [moves && `moves: ${e.outerHTML.slice(0, 80)}`, bare && `no border: ${e.outerHTML.slice(0, 80)}`].filter(Boolean)
      }))
      assert.deepEqual(found, [], what)
    }
    await still('sign-in')
    await identify(page, ana.email)
    await passwordField(page).waitFor()
    await still('password')
    stub.next = { claims: microsoftPerson(stub, 'aaaaaaaa-bbbb-cccc-dddd-000000000042', ana.email) }
    await page.goto(ask(third, { connection: 'microsoft' }).url)
    await passwordField(page).waitFor()
    await still('link')
    await passwordField(page).fill(password)
    await button(page, 'Link and sign in').click()
    await button(page, 'Allow').waitFor()
    await still('consent')
    await button(page, 'Allow').click()
    await arrived(page)
    await page.goto(broker.issuer + '/account')
    await expectHeading(page, 'Your account')
    await still('account')
  })
})
