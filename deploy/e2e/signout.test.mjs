// Signing out: the question and the page after it, apps in frames, the upstream provider.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, person, redeem, request, startDemo, until } from './harness.mjs'
import { arrive, button, expectHeading, signIn, signInWith } from './steps.mjs'
import { look } from './look.mjs'

/** A person who signed in through Club, in an app with front-channel logout. */
async function member(t, { js }) {
  const demo = await startDemo(t)
  const back = await app(t)
  const redirect = back.origin + '/cb'
  const garden = await demo.run(['clients', 'add', '--name', 'Garden', '--first-party', '--redirect-uri', redirect,
    '--post-logout-redirect-uri', back.origin + '/out', '--frontchannel-logout-uri', back.origin + '/front?of=garden', '--backchannel-logout-uri', back.origin + '/back'])
  const ask = request(demo, garden, redirect)
  const visitor = await person(t, { js })
  await visitor.page.goto(ask.url)
  const club = demo.connection('oidc')
  await signInWith(visitor.page, club, demo.personas.find((p) => p.connection === club.id && p.email_verified !== false))
  if (await button(visitor.page, 'Create account').isVisible()) await button(visitor.page, 'Create account').click()
  await arrive(visitor.page, back)
  const tokens = await redeem(demo, ask, back.answers()[0].query.code)
  return { demo, back, club, tokens, framed: () => back.calls.filter((c) => c.path === '/front'), ...visitor }
}

const clean = (found) => assert.deepEqual([found.violations, found.overflow, found.small], [[], [], []])

for (const js of [true, false]) {
  const how = js ? 'with scripts' : 'without scripts'

  test(`ac_47 a sign-out takes the apps along and ends at the provider too, ${how}`, async (t) => {
    const { demo, back, club, tokens, framed, page, log } = await member(t, { js })
    await page.goto(demo.issuer + '/end_session')
    await expectHeading(page, /^Sign out of/)
    await page.getByText('Garden').waitFor()
    if (js) clean(await look(page, 'signout-apps', { cold: false }))
    await page.getByLabel(`Also sign out of ${club.name}`).check()
    await button(page, 'Sign out').click()
    await expectHeading(page, 'You’re signed out')
    await page.getByText('You were signed out of:').waitFor()
    await until(() => framed().length === 1, { about: 'the frame' })
    assert.deepEqual(framed()[0].query, { of: 'garden', iss: demo.issuer, sid: tokens.claims.sid })
    assert.equal(framed()[0].headers.referer, undefined)
    await until(() => back.calls.some((c) => c.path === '/back' && c.method === 'POST'), { about: 'the logout token' })
    // The page goes on by itself: to the provider, which sends the person back.
    await page.waitForURL(/\/end_session\?state=/)
    await expectHeading(page, 'You’re signed out')
    assert.deepEqual(log.complaints, [])
  })

  test(`ac_47 an app that asks gets the person back after the frames, ${how}`, async (t) => {
    const { demo, back, tokens, framed, page } = await member(t, { js })
    const out = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: back.origin + '/out', state: 'the-state' })
    await page.goto(`${demo.issuer}/end_session?${out}`)
    await page.getByRole('link', { name: 'Continue to Garden' }).waitFor()
    await page.waitForURL(back.origin + '/out?state=the-state')
    assert.equal(framed().length, 1)
  })
}

test('ac_47 the page after a sign-out is fit to be looked at', async (t) => {
  const { demo, page } = await member(t, { js: true })
  await page.goto(demo.issuer + '/end_session')
  await button(page, 'Sign out').click()
  await page.getByText('You were signed out of:').waitFor()
  clean(await look(page, 'signedout-apps', { cold: false }))
})

for (const js of [true, false]) {
  test(`ac_47 who proves nothing is asked and may stay, a proof leads back by 303, and nobody's other address is followed, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const broker = await deployment(t, 'SQLite')
    const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }
    await broker.addAccount(owner.email, owner.password)
    await broker.serve()
    const [back, stranger] = [await app(t), await app(t)]
    const client = await broker.addClient('--name', 'Garden', '--first-party', '--redirect-uri', back.origin + '/cb', '--post-logout-redirect-uri', back.origin + '/out')
    const { page } = await person(t, { js })
    let n = 0
    const come = async (extra) => {
      const ask = request(broker, client, back.origin + '/cb', extra)
      await page.goto(ask.url)
      if (!extra) await signIn(page, owner)
      const answer = await arrive(page, back, ++n)
      return answer.error ? answer : redeem(broker, ask, answer.code)
    }
    const signedIn = async () => (await come({ prompt: 'none' })).status === 200
    const leave = (fields) => page.goto(`${broker.issuer}/end_session?${new URLSearchParams(fields)}`)
    const out = back.origin + '/out'

    let hint = (await come()).id_token
    for (const fields of [{}, { post_logout_redirect_uri: out, client_id: client.client_id }, { post_logout_redirect_uri: stranger.origin + '/' }]) {
      await leave(fields)
      await expectHeading(page, /^Sign out of/)
      await button(page, 'Stay signed in').click()
      await expectHeading(page, 'You’re still signed in')
      assert.ok(await signedIn(), `staying ended the session: ${JSON.stringify(fields)}`)
    }
    for (const fields of [{ post_logout_redirect_uri: stranger.origin + '/' }, { post_logout_redirect_uri: stranger.origin + '/', client_id: client.client_id }]) {
      await leave(fields) // and pressing the button leads nowhere either
      await button(page, 'Sign out').click()
      await expectHeading(page, 'You’re signed out')
      assert.ok(!await signedIn())
      hint = (await come()).id_token
    }
    for (const uri of [stranger.origin + '/', out + '/', out + '?x=1', back.origin + '/OUT', back.origin + '@' + new URL(stranger.origin).host + '/out']) {
      await leave({ id_token_hint: hint, post_logout_redirect_uri: uri, state: 'the-state' })
      await expectHeading(page, 'You’re signed out')
      assert.equal(new URL(page.url()).origin, broker.issuer)
      hint = (await come()).id_token
    }
    assert.equal(back.calls.filter((c) => c.path.toLowerCase().startsWith('/out')).length, 0)
    const response = await leave({ id_token_hint: hint, post_logout_redirect_uri: out, state: 'the-state' })
    assert.equal(response.url(), out + '?state=the-state')
    assert.equal((await response.request().redirectedFrom().response()).status(), 303)
    assert.ok(!await signedIn())

    await come() // an app without a hint names itself: one question, then back
    await leave({ client_id: client.client_id, post_logout_redirect_uri: out, state: 'again' })
    await button(page, 'Sign out').click()
    await page.waitForURL(out + '?state=again')
    assert.ok(!await signedIn())
    assert.deepEqual(stranger.calls, [])
  })
}

test('A17 an app that was not told is told by the process after the one that was killed', async (t) => {
  const broker = await deployment(t, 'SQLite')
  const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }
  await broker.addAccount(owner.email, owner.password)
  const first = await broker.serve()
  let up = false
  const back = await app(t, { answer: (req, res) => res.writeHead(req.method === 'POST' && !up ? 503 : 200).end() })
  const client = await broker.addClient('--name', 'Garden', '--first-party', '--redirect-uri', back.origin + '/cb', '--backchannel-logout-uri', back.origin + '/back')
  const ask = request(broker, client, back.origin + '/cb')
  const { page } = await person(t)
  await page.goto(ask.url)
  await signIn(page, owner)
  await arrive(page, back)
  const tokens = await redeem(broker, ask, back.answers()[0].query.code)
  const posts = () => back.calls.filter((c) => c.method === 'POST').length
  await page.goto(`${broker.issuer}/end_session?${new URLSearchParams({ id_token_hint: tokens.id_token })}`)
  await expectHeading(page, 'You’re signed out')
  assert.match(await page.locator('main').innerText(), /These apps haven’t answered yet\. You may still be signed in there; we’ll keep trying:\s+Garden/)
  assert.equal(await page.getByText('You were signed out of:').count(), 0)
  clean(await look(page, 'signedout-late', { cold: false }))
  await until(() => posts() === 1, { about: 'the first attempt' })
  const recorded = async () => (await broker.run(['clients', 'logouts', '--json']))[0]?.last_error
  await until(async () => (await recorded()) === 'the app responded with status 503', { about: 'the recorded error' })
  await first.kill()
  up = true
  await broker.serve()
  await until(() => posts() === 2, { about: 'the second attempt' })
  await until(async () => (await broker.run(['clients', 'logouts', '--json'])).length === 0, { about: 'the end of it' })
  const told = await broker.run(['audit', '--verb', 'logout.delivered', '--json'])
  assert.deepEqual(told.map((e) => [e.client, e.session]), [[client.client_id, tokens.claims.sid]])
})
