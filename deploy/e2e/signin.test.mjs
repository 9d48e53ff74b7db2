// Signing in from an app: with and without scripts, in two tabs, with two clicks, out again, and bad requests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { app, person, redeem, redirectAt, request, sharedDemo, startDemo, until } from './harness.mjs'
import { arrive, button, expectHeading, h1, identify, passwordField, signIn, signInWith, typePassword } from './steps.mjs'

/** own: the test changes accounts or counts mails, so it needs a demo of its own. */
async function journey(t, { js = true, answer, extra, own = false } = {}) {
  const demo = await (own ? startDemo(t) : sharedDemo())
  const back = await app(t, { answer })
  const ask = request(demo, demo.native, redirectAt(demo.native, back.origin), extra)
  return { demo, back, ask, ...await person(t, { js }) }
}

for (const js of [false, true]) {
  const how = js ? 'with scripts' : 'without scripts'

  test(`ac_02 a password sign-in ends at the app with code and state, ${how}`, async (t) => {
    const { demo, back, ask, page, log } = await journey(t, { js })
    await page.goto(ask.url)
    await signIn(page, demo.account)
    const answer = await arrive(page, back)
    assert.equal(answer.state, ask.state)
    assert.equal(answer.iss, demo.issuer)
    const tokens = await redeem(demo, ask, answer.code)
    assert.equal(tokens.status, 200, JSON.stringify(tokens))
    assert.equal(tokens.userinfo.email, demo.account.email)
    assert.deepEqual(log.complaints, [])
    assert.equal(back.answers().length, 1)
  })

  test(`ac_06 a sign-in whose app redirects on to a third origin completes, ${how}`, async (t) => {
    const third = await app(t)
    const { demo, back, ask, page, log } = await journey(t, {
      js, answer: (_, res) => res.writeHead(302, { location: third.origin + '/home' }).end(),
    })
    await page.goto(ask.url)
    await signIn(page, demo.account)
    await arrive(page, back)
    await page.waitForURL(third.origin + '/home')
    await until(() => third.calls.length > 0)
    for (const call of [...back.calls, ...third.calls]) assert.equal(call.headers.referer, undefined, 'the app sees a Referer')
    const posts = log.requests.filter((r) => r.method === 'POST').length
    const shown = await page.goBack()
    assert.ok(shown.status() < 400, 'going back ends on a refusal')
    assert.equal(log.requests.filter((r) => r.method === 'POST').length, posts, 'going back posted again')
    assert.deepEqual(log.complaints, [])
  })

  test(`ac_31 two tabs of one login both end signed in at the app, ${how}`, async (t) => {
    const { demo, back, ask, page: a, context } = await journey(t, { js })
    await a.goto(ask.url)
    await identify(a, demo.account.email)
    await passwordField(a).waitFor()
    const b = await context.newPage()
    await b.goto(a.url())
    await passwordField(b).waitFor()
    const other = request(demo, demo.native, ask.redirectURI)
    const c = await context.newPage()
    await c.goto(other.url)
    await identify(c, demo.account.email)
    await passwordField(c).waitFor()

    // Each app redeems at once; a later sign-in of the same browser replaces its session.
    for (const [n, tab, wanted] of [[1, a, ask], [2, b, ask], [3, c, other]]) {
      await typePassword(tab, demo.account.password)
      const answer = await arrive(tab, back, n)
      assert.equal(answer.state, wanted.state)
      const tokens = await redeem(demo, wanted, answer.code)
      assert.equal(tokens.status, 200, `tab ${n}: ${JSON.stringify(tokens)}`)
    }
  })
}

/** Sends the form of a button twice, 20 ms apart, as an impatient person's clicks do, and reads both answers. */
function submitTwice(page, name) {
  return page.evaluate(async (name) => {
    const named = [...document.querySelectorAll('button')].find((b) => b.textContent.trim() === name)
    const body = () => {
      const data = new URLSearchParams(new FormData(named.form))
      if (named.name) data.set(named.name, named.value)
      return data
    }
    const send = async () => {
      const res = await fetch(named.form.action, { method: 'POST', body: body(), redirect: 'follow' }).catch((e) => ({ error: String(e) }))
      return res.error ? { error: res.error } : { status: res.status, url: res.url, text: await res.text() }
    }
    const first = send()
    await new Promise((resolve) => setTimeout(resolve, 20))
    return Promise.all([first, send()])
  }, name)
}

async function twice(page, name) {
  const login = page.url()
  const answers = await submitTwice(page, name)
  for (const a of answers) assert.ok(a.status === 200, `${name}: ${JSON.stringify(a).slice(0, 400)}`)
  await page.goto(login) // where the person is still looking
}

test('ac_32 two clicks on Sign in, Link and Allow give one normal landing each', async (t) => {
  const { demo, back, ask, page } = await journey(t)
  await page.goto(ask.url)
  await identify(page, demo.account.email)
  await passwordField(page).fill(demo.account.password)
  await twice(page, 'Sign in')
  if (await button(page, 'Allow').isVisible()) await twice(page, 'Allow')
  const answer = await arrive(page, back)
  assert.equal(answer.state, ask.state)
  const tokens = await redeem(demo, ask, answer.code)
  assert.equal(tokens.status, 200)
  assert.equal(back.answers().length, 1)
})

test('ac_32 two clicks on Link and sign in link once', async (t) => {
  const { demo, back, ask, page } = await journey(t, { own: true })
  await page.goto(ask.url)
  await signInWith(page, demo.connection('google'), demo.persona('google', 'ana'))
  await expectHeading(page, /^Link /)
  await passwordField(page).fill(demo.account.password)
  await twice(page, 'Link and sign in')
  const tokens = await redeem(demo, ask, (await arrive(page, back)).code)
  assert.equal(tokens.userinfo.email, demo.account.email)
  const told = await until(async () => {
    const all = await demo.mails(demo.account.email)
    return all.length > 0 && all
  }, { about: 'the mail that tells of the link' })
  assert.equal(told.length, 1)
})

test('ac_32 two clicks on Continue take a mailed code once', async (t) => {
  const { demo, back, ask, page } = await journey(t, { own: true })
  const persona = demo.persona('oidc', 'una')
  await page.goto(ask.url)
  await signInWith(page, demo.connection('oidc'), persona)
  await page.getByRole('button', { name: /I’m new/ }).click()
  await page.locator('input[autocomplete="one-time-code"]').fill(await demo.mailedCode(persona.email))
  await twice(page, 'Continue')
  await button(page, 'Create account').click()
  assert.equal((await redeem(demo, ask, (await arrive(page, back)).code)).userinfo.email, persona.email)
})

test('ac_47 signing out asks where nothing proves who wants it, and never follows a stranger’s address', async (t) => {
  const { demo, page, log } = await journey(t)
  await page.goto(demo.app)
  await page.getByRole('link', { name: 'Sign in', exact: true }).click()
  await signIn(page, demo.account)
  await expectHeading(page, /^Signed in as/)

  await page.goto(demo.issuer + '/end_session')
  await expectHeading(page, /^Sign out/)
  await page.getByText('Stay signed in').click()
  await page.goto(demo.app + '/login')
  await expectHeading(page, /^Signed in as/)
  const idToken = (await page.locator('details', { hasText: 'ID token' }).locator('pre').textContent()).trim()

  const stranger = 'https://stranger.example.test/out'
  await page.goto(`${demo.issuer}/end_session?${new URLSearchParams({ id_token_hint: idToken, post_logout_redirect_uri: stranger })}`)
  await page.waitForLoadState()
  assert.ok(page.url().startsWith(demo.issuer))
  assert.deepEqual(log.requests.filter((r) => r.url.startsWith('https://stranger')), [])

  await page.goto(demo.app + '/login')
  if (/^Sign in$/.test((await h1(page).textContent()).trim())) await signIn(page, demo.account)
  await expectHeading(page, /^Signed in as/)
  await page.getByRole('link', { name: 'Sign out' }).click()
  await expectHeading(page, 'Courts Booking') // with id_token_hint: back at the app, nothing asked
  await page.goto(demo.app + '/login')
  await expectHeading(page, 'Sign in') // and the session is over
})

test('ac_50 a request that cannot be trusted is answered here, and prompt=none never shows a page', async (t) => {
  const { demo, back, ask, page } = await journey(t)
  const altered = (change) => {
    const url = new URL(ask.url)
    for (const [name, value] of Object.entries(change)) url.searchParams.set(name, value)
    return url.href
  }
  for (const [change, what] of [[{ redirect_uri: 'https://stranger.example.test/cb' }, 'redirect_uri'], [{ client_id: 'nobody' }, 'client']]) {
    const answer = await page.goto(altered(change))
    assert.equal(answer.status(), 400, what)
    assert.ok(page.url().startsWith(demo.issuer), what)
    await expectHeading(page, /link isn’t valid/)
  }
  await page.goto(altered({ prompt: 'none' }))
  const answer = await arrive(page, back)
  assert.equal(answer.error, 'login_required')
  assert.equal(answer.state, ask.state)
})
