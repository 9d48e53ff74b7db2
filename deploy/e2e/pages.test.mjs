// Every page: one walk through all of them, then what must hold for each.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { app, person, redirectAt, request, sharedDemo, startDemo, until } from './harness.mjs'
import { colours, look, readAnswers } from './look.mjs'
import { arrive, become, button, expectHeading, field, h1, identify, passwordField, providerButton, signInWith, typePassword } from './steps.mjs'

const policy = {
  'default-src': "'none'", 'script-src': "'self'", 'style-src': "'self'", 'img-src': "'self'", 'connect-src': "'self'", 'font-src': "'none'",
  'form-action': "'self'", 'base-uri': "'none'", 'frame-ancestors': "'none'", 'object-src': "'none'",
}

test('ac_01 the sign-in page offers an address, and each connection by its name', async (t) => {
  const demo = await sharedDemo()
  const { page } = await person(t)
  await page.goto(demo.issuer + '/login')
  await expectHeading(page, 'Sign in')
  assert.equal(await h1(page).count(), 1)
  assert.equal(await field(page, 'Email address').getAttribute('autocomplete'), 'username webauthn')
  assert.equal(await button(page, 'Continue').count(), 1)
  const names = (await page.getByRole('link', { name: /^Continue with / }).allTextContents()).map((n) => n.trim())
  assert.deepEqual(names, demo.connections.map((c) => `Continue with ${c.name}`))
})

for (const js of [true, false]) {
  test(`ac_03 every button reaches its provider by GET and 303, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const demo = await sharedDemo()
    const { page, log, context } = await person(t, { js })
    for (const connection of demo.connections) {
      const departures = []
      const note = (res) => { if (res.url().includes(`/to/${connection.id}`)) departures.push([res.request().method(), res.status()]) }
      context.on('response', note)
      await page.goto(demo.issuer + '/login')
      await providerButton(page, connection.name).click()
      await expectHeading(page, /\(simulated\)$/)
      context.off('response', note)
      assert.deepEqual(departures, [['GET', 303]], connection.name)
      assert.ok(page.url().startsWith(connection.issuer), `${page.url()} is not at ${connection.issuer}`)
    }
    assert.deepEqual(log.complaints, [])
  })
}

test('ac_40 password managers and one-time codes find their fields, and pasting works', async (t) => {
  const demo = await sharedDemo()
  const { page, context } = await person(t)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: demo.issuer })
  const paste = async (locator, text) => {
    await page.evaluate((text) => navigator.clipboard.writeText(text), text)
    await locator.focus()
    await page.keyboard.press('Control+V')
  }
  await page.goto(demo.issuer + '/login')
  await paste(field(page, 'Email address'), demo.account.email)
  await button(page, 'Continue').click()
  await passwordField(page).waitFor()
  const form = page.locator('form', { has: page.locator('[autocomplete=current-password]') })
  assert.equal(await form.locator('[autocomplete=username]').inputValue(), demo.account.email)
  await paste(passwordField(page), demo.account.password)
  assert.equal(await passwordField(page).inputValue(), demo.account.password)

  await page.goto(demo.issuer + '/login')
  const una = demo.persona('oidc', 'una')
  await signInWith(page, demo.connection('oidc'), una)
  await page.getByRole('button', { name: /I’m new/ }).click()
  const code = page.locator('[autocomplete=one-time-code]')
  const digits = await demo.mailedCode(una.email)
  await paste(code, `${digits.slice(0, 3)} ${digits.slice(3)}`)
  assert.equal((await code.inputValue()).replace(/\D/g, ''), digits)
  await button(page, 'Continue').click()
  await expectHeading(page, 'Create your account')
})

test('ac_43 the provider buttons keep their makers’ rules', async (t) => {
  const demo = await sharedDemo()
  const { page } = await person(t)
  const icon = (kind) => providerButton(page, demo.connection(kind).name).locator('img, svg').first()
  const near = (shares, [r, g, b]) => Object.entries(shares).some(([key, share]) => {
    const [x, y, z] = key.split(',').map(Number)
    return share > 0.01 && Math.abs(x - r) + Math.abs(y - g) + Math.abs(z - b) < 24
  })
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.goto(demo.issuer + '/login')
    const boxes = await page.getByRole('link', { name: /^Continue with / }).evaluateAll((links) => links.map((l) => l.getBoundingClientRect()))
    assert.ok(boxes.length > 1)
    for (const box of boxes) assert.deepEqual([box.width, box.height], [boxes[0].width, boxes[0].height])
    const google = await colours(page, icon('google'))
    for (const colour of [[66, 133, 244], [52, 168, 83], [251, 188, 5], [234, 67, 53]]) assert.ok(near(google, colour), `Google's ${colour} is missing, ${colorScheme}`)
    const microsoft = await colours(page, icon('microsoft'))
    for (const colour of [[242, 80, 34], [127, 186, 0], [0, 164, 239], [255, 185, 0]]) assert.ok(near(microsoft, colour), `Microsoft's ${colour} is missing, ${colorScheme}`)
    const facebook = await colours(page, icon('meta'))
    assert.ok(near(facebook, [255, 255, 255]), `Facebook's f is not white, ${colorScheme}`)
    assert.ok(near(facebook, [8, 102, 255]) || near(facebook, [24, 119, 242]), `Facebook's blue is missing, ${colorScheme}`)
  }
})

describe('every page', () => {
  const found = [] // what look saw, page by page
  let answers = [] // every HTML answer of the broker on the way
  const logs = []
  const hosts = new Set() // the broker, and whom it sends people to

  before(async (t) => {
    const ends = []
    const after = { after: (f) => ends.unshift(f) } // before's own context has no after
    try {
      await walkAll(after)
    } finally {
      for (const end of ends) await end()
    }
  })

  async function walkAll(t) {
    const demo = await startDemo(t)
    const back = await app(t)
    const readers = []
    for (const origin of [demo.issuer, demo.app, demo.mailbox, back.origin, ...demo.connections.map((c) => c.issuer)]) hosts.add(new URL(origin).host)
    /** A fresh browser at the start of a login of the app. */
    const visitor = async (extra) => {
      const { page, context, log } = await person(t)
      readers.push(readAnswers(context, demo.issuer))
      logs.push(log)
      await page.goto(request(demo, demo.native, redirectAt(demo.native, back.origin), extra).url)
      return page
    }
    const see = async (page, name, options) => found.push(await look(page, name, options))
    const posted = { cold: false } // it answers a POST, so loading it again would post again

    let page = await visitor()
    await see(page, 'sign-in')
    await identify(page, 'nobody at all')
    await see(page, 'sign-in-invalid', posted)
    await page.goBack()
    await identify(page, demo.account.email)
    await passwordField(page).waitFor()
    await see(page, 'password')
    await typePassword(page, 'not the password at all')
    await page.locator('[role=alert]').waitFor()
    await see(page, 'password-wrong', posted)
    await typePassword(page, demo.account.password)
    await button(page, 'Allow').waitFor()
    await see(page, 'consent')
    await arrive(page, back)
    await page.goto(demo.issuer + '/account')
    await h1(page).waitFor()
    await see(page, 'account')
    await page.goto(demo.issuer + '/end_session')
    await expectHeading(page, /^Sign out/)
    await see(page, 'sign-out')
    await page.getByRole('button', { name: /^Sign out/ }).click()
    await expectHeading(page, /signed out/)
    await see(page, 'signed-out', posted)

    page = await visitor()
    await signInWith(page, demo.connection('google'), demo.persona('google', 'ana'))
    await expectHeading(page, 'Link Google to your account?')
    await see(page, 'link')
    await passwordField(page).fill('not the password at all')
    await button(page, 'Link and sign in').click()
    await page.locator('[role=alert]').waitFor()
    await see(page, 'link-wrong', posted)

    page = await visitor()
    await signInWith(page, demo.connection('google'), demo.persona('google', 'new.person'))
    await expectHeading(page, 'Create your account')
    await see(page, 'register')
    await page.getByText(/Sign in and link/).click()
    await passwordField(page).waitFor()
    await see(page, 'register-own')

    page = await visitor()
    const una = demo.persona('oidc', 'una')
    await signInWith(page, demo.connection('oidc'), una)
    await see(page, 'neutral')
    await page.getByRole('button', { name: /I’m new/ }).click()
    await page.locator('[autocomplete=one-time-code]').waitFor()
    await see(page, 'code')
    await page.locator('[autocomplete=one-time-code]').fill('000000')
    await button(page, 'Continue').click()
    await page.locator('[role=alert]').waitFor()
    await see(page, 'code-wrong', posted)

    page = await visitor()
    await signInWith(page, demo.connection('meta'), demo.persona('meta', 'finn'))
    await h1(page).waitFor()
    await see(page, 'email')

    page = await visitor()
    await page.getByText('Create an account').click()
    await h1(page).waitFor()
    await see(page, 'create')

    page = await visitor()
    await signInWith(page, demo.connection('microsoft'), demo.persona('microsoft', 'eva'))
    await h1(page).waitFor()
    await see(page, 'refused')

    await demo.run(['connections', 'add', 'office', '--kind', 'oidc', '--name', 'The Office', '--issuer', demo.connection('oidc').issuer, '--client-id', 'x',
      '--client-secret-file', '-', '--domain', 'office.test', '--hidden', '--live'], 'a secret that nobody needs here')
    // Every replica knows a connection that a command has made within 5 s.
    for (let patience = 12; ; patience--) {
      page = await visitor({ login_hint: 'olga@office.test' })
      assert.equal(await field(page, 'Email address').inputValue(), 'olga@office.test')
      await button(page, 'Continue').click()
      await until(async () => (await h1(page).textContent()).trim() !== 'Sign in', { seconds: 20 })
      if (patience === 0 || (await h1(page).textContent()).trim() === 'Continue with The Office') break
      await new Promise((done) => setTimeout(done, 500))
    }
    await expectHeading(page, 'Continue with The Office')
    await see(page, 'organisation')

    page = await visitor({ redirect_uri: 'https://stranger.example.test/cb' })
    await see(page, 'error-request')
    await page.goto(demo.issuer + '/nothing/here')
    await see(page, 'error-not-found')
    await page.goto(demo.issuer + '/login/NOSUCHLOGIN')
    await see(page, 'error-login-unknown')
    await page.goto(demo.issuer + '/login?sso_error=sso_idp_rejected')
    await see(page, 'banner')

    answers = (await Promise.all(readers.map((read) => read()))).flat()
  }

  test('ac_04 no page has inline styles or scripts, or asks another host', () => {
    assert.ok(answers.length > 20, `only ${answers.length} pages were read`)
    for (const { url, body } of answers) {
      assert.doesNotMatch(body, /<[^>]*\sstyle\s*=/i, url)
      assert.doesNotMatch(body, /<[^>]*\son[a-z]+\s*=/i, url)
      assert.doesNotMatch(body, /<script(?![^>]*\ssrc=)[^>]*>/i, url)
      assert.doesNotMatch(body, /<style/i, url)
    }
    for (const { requests, complaints } of logs) {
      assert.deepEqual(complaints, [])
      for (const r of requests) {
        if (r.url.startsWith('data:')) continue
        assert.ok(hosts.has(new URL(r.url).host), `a page asked ${r.url}`)
      }
    }
  })

  test('ac_05 every page has the whole policy', () => {
    for (const { url, headers } of answers) {
      const sent = Object.fromEntries(headers['content-security-policy'].split(';').map((d) => {
        const [name, ...values] = d.trim().split(' ')
        return [name, values.join(' ')]
      }))
      assert.deepEqual(sent, policy, url)
      assert.equal(headers['cache-control'], 'no-store', url)
      assert.equal(headers['x-content-type-options'], 'nosniff', url)
      assert.match(headers['referrer-policy'], /^(no-referrer|same-origin)$/, url)
    }
  })

  test('ac_36 axe finds nothing on any page, light or dark', () => {
    assert.deepEqual(found.flatMap((f) => f.violations), [])
    assert.deepEqual([...new Set(found.flatMap((f) => f.incomplete))], [])
  })

  test('ac_37 everything can be pressed, and nothing is cut off at 320 pixels', () => {
    assert.deepEqual(found.flatMap((f) => f.overflow), [])
    assert.deepEqual([...new Set(found.flatMap((f) => f.small))], [])
  })

  test('ac_40 no page turns autofill off', () => {
    for (const { url, body } of answers) assert.doesNotMatch(body, /autocomplete\s*=\s*"?off/i, url)
  })

  test('ac_41 no page is heavier than its budget', () => {
    const kept = found.filter((f) => f.cold)
    assert.ok(kept.length > 10)
    for (const { name, cold } of kept) {
      assert.ok(cold.requests > 0 && cold.requests <= 10, `${name}: ${cold.requests} requests`)
      assert.ok(cold.total <= 20_000, `${name}: ${cold.total} bytes`)
      assert.ok(cold.js <= 6_000, `${name}: ${cold.js} bytes of script`)
      assert.ok(cold.css <= 6_000, `${name}: ${cold.css} bytes of style`)
    }
  })

  test('ac_43 no page says Azure, Entra or AD', () => {
    for (const { url, body } of answers) assert.doesNotMatch(body.replace(/<[^>]*>/g, ' '), /\b(Azure|Entra|AD)\b/, url)
  })
})
