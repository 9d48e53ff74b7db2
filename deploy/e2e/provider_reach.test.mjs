// Responses to apps other than by redirect: form_post, devices, logout tokens.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { person, until } from './harness.mjs'
import { opened, owner, press, provider, register, walk } from './provider.mjs'
import { signIn } from './steps.mjs'

for (const js of [true, false]) {
  test(`openid-client: the answer by form_post, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const app = await register(t, await provider(t))
    const { page, log } = await person(t, { js })
    const ask = await app.ask({ response_mode: 'form_post' })
    await page.goto(ask.url)
    await signIn(page, owner)
    if (!js) await until(async () => app.back.answers.length > 0 || page.locator('form button').first().click({ timeout: 1000 }).then(() => false, () => false), { about: 'the form' })
    const answer = await app.answer()
    assert.equal(answer.method, 'POST')
    assert.equal(new URL(answer.url).search, '')
    assert.equal((await app.redeem(ask, answer)).claims().sub, app.account.id)
    assert.deepEqual(log.complaints, [])
  })
}

test('openid-client: an error by form_post', async (t) => {
  const app = await register(t, await provider(t))
  const { page } = await person(t)
  const ask = await app.ask({ response_mode: 'form_post', prompt: 'none' })
  await page.goto(ask.url)
  await assert.rejects(app.redeem(ask, await app.answer()), { error: 'login_required' })
})

const device = 'urn:ietf:params:oauth:grant-type:device_code'

test('openid-client: a device that its owner allows', async (t) => {
  const app = await register(t, await provider(t), { flags: () => ['--grant', device, '--grant', 'refresh_token', '--auth-method', 'none'], auth: () => oidc.None() })
  const started = await oidc.initiateDeviceAuthorization(app.config, { scope: 'openid email offline_access' })
  assert.match(started.user_code, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/)
  const polled = oidc.pollDeviceAuthorizationGrant(app.config, started)
  const { page } = await person(t)
  await page.goto(started.verification_uri_complete)
  await enterTheDevice(page)
  await press(page, 'Allow device')
  const tokens = await polled
  assert.equal(tokens.claims().sub, app.account.id)
  assert.equal((await oidc.fetchUserInfo(app.config, tokens.access_token, tokens.claims().sub)).email, owner.email)
  assert.equal((await oidc.refreshTokenGrant(app.config, tokens.refresh_token)).claims().sub, app.account.id)
})

test('openid-client: a device that its owner denies', async (t) => {
  const app = await register(t, await provider(t), { flags: () => ['--grant', device, '--grant', 'refresh_token', '--auth-method', 'none'], auth: () => oidc.None() })
  const started = await oidc.initiateDeviceAuthorization(app.config, { scope: 'openid email offline_access' })
  const polled = assert.rejects(oidc.pollDeviceAuthorizationGrant(app.config, started), { error: 'access_denied' })
  const { page } = await person(t)
  await page.goto(started.verification_uri_complete)
  await enterTheDevice(page)
  await press(page, 'Deny')
  await polled
})

/** Goes from the code to the confirmation, with a sign-in between them. */
async function enterTheDevice(page) {
  const asks = page.getByRole('button', { name: 'Allow device', exact: true })
  const address = page.getByRole('textbox', { name: 'Email address', exact: true })
  await until(async () => {
    if (await asks.isVisible() || await address.isVisible()) return true
    await page.locator('main form button[type=submit]').first().click({ timeout: 1000 }).catch(() => {})
    return false
  }, { about: 'the sign-in or the question' })
  if (await address.isVisible()) await signIn(page, owner)
}

test('openid-client: back-channel logout', async (t) => {
  const app = await register(t, await provider(t), { flags: (back) => ['--backchannel-logout-uri', back.origin + '/backchannel'] })
  const { page, tokens } = await walk(t, app)
  const claims = tokens.claims()
  assert.equal(typeof claims.sid, 'string')
  await page.goto(oidc.buildEndSessionUrl(app.config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: app.back.origin + '/out' }).href)
  await page.waitForURL(`${app.back.origin}/out*`)
  const form = await until(() => app.back.logouts[0], { about: 'the logout token' })
  assert.deepEqual([...form.keys()], ['logout_token'])
  const logout = await opened(app.config, form.get('logout_token'))
  assert.equal(logout.typ, 'logout+jwt')
  assert.equal(logout.claims.iss, app.broker.issuer)
  assert.equal(logout.claims.aud, app.client.client_id)
  assert.equal(logout.claims.sid, claims.sid)
  assert.equal(logout.claims.sub, claims.sub)
  assert.deepEqual(logout.claims.events, { 'http://schemas.openid.net/event/backchannel-logout': {} })
  assert.equal(typeof logout.claims.jti, 'string')
  assert.equal(logout.claims.nonce, undefined)
  assert.ok(logout.claims.exp - logout.claims.iat <= 120)
})
