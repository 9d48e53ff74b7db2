// The journey between two counterparts that we did not write: npm's oidc-provider upstream, npm's openid-client as the app.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { deployment, engines } from './deployment.mjs'
import { app, person } from './harness.mjs'
import { arrive, button, expectHeading, field, passwordField, providerButton } from './steps.mjs'
import { startUpstream } from './upstream.mjs'

const email = 'vera@example.test'
const password = 'the password of vera'

/** The app, as its developer writes it. */
async function relyingParty(issuer, client, redirect) {
  const config = await oidc.discovery(new URL(issuer), client.client_id, undefined, oidc.ClientSecretBasic(client.client_secret),
    { execute: [oidc.allowInsecureRequests] })
  oidc.enableNonRepudiationChecks(config) // verify signatures, though the token endpoint vouches for them
  return {
    config,
    async ask(extra = {}) {
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
      const expected = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true }
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: redirect, scope: 'openid profile email offline_access', state: expected.expectedState, nonce: expected.expectedNonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...extra,
      })
      return { url: url.href, expected }
    },
    redeem: ({ expected }, answer) => oidc.authorizationCodeGrant(config, new URL(`${redirect}?${new URLSearchParams(answer)}`), expected),
  }
}

/** The broker, with a real upstream that has the user vera, and a real app. */
async function setting(t, engine) {
  const broker = await deployment(t, engine)
  const upstream = await startUpstream(t, {
    redirectURI: broker.callback('acme'), people: { vera: { email, email_verified: true, name: 'Vera Lind', given_name: 'Vera', family_name: 'Lind' } },
  })
  const back = await app(t)
  const redirect = back.origin + '/callback'
  const connection = await broker.connect('acme', 'Acme', upstream)
  assert.equal(connection.redirect_uri, broker.callback('acme'))
  const account = await broker.addAccount(email, password)
  const client = await broker.addClient('--name', 'Walk', '--redirect-uri', redirect, '--post-logout-redirect-uri', back.origin + '/out')
  await broker.serve()
  return { broker, back, account, rp: await relyingParty(broker.issuer, client, redirect) }
}

/** Signs in at the upstream's own page. */
async function signInThere(page) {
  await field(page, 'Login').fill('vera')
  await button(page, 'Sign in').click()
}

async function linkAndArrive(page, back, rp) {
  const ask = await rp.ask()
  await page.goto(ask.url)
  await expectHeading(page, 'Sign in')
  await providerButton(page, 'Acme').click()
  await signInThere(page)
  await expectHeading(page, 'Link Acme to your account?')
  await passwordField(page).fill(password)
  await button(page, 'Link and sign in').click()
  return rp.redeem(ask, await arrive(page, back, 1))
}

async function signOut(page, back, rp, hint) {
  await page.goto(oidc.buildEndSessionUrl(rp.config, { id_token_hint: hint, post_logout_redirect_uri: back.origin + '/out' }).href)
  await page.waitForURL(back.origin + '/out*')
}

for (const engine of engines) {
  test(`walk: a real upstream and a real app meet over a confirmed link, on ${engine}`, async (t) => {
    const { broker, back, account, rp } = await setting(t, engine)
    const { page, log } = await person(t)
    const tokens = await linkAndArrive(page, back, rp)
    const claims = tokens.claims()
    assert.equal(claims.sub, account.id)
    assert.equal(claims.iss, broker.issuer)
    assert.equal((await oidc.fetchUserInfo(rp.config, tokens.access_token, claims.sub)).email, email)
    assert.equal((await oidc.tokenIntrospection(rp.config, tokens.access_token)).active, true)

    const renewed = await oidc.refreshTokenGrant(rp.config, tokens.refresh_token)
    assert.equal(renewed.claims().sub, account.id)
    assert.notEqual(renewed.refresh_token, tokens.refresh_token)

    const silently = await rp.ask({ prompt: 'none' }) // the session is good for this app
    await page.goto(silently.url)
    assert.equal((await rp.redeem(silently, await arrive(page, back, 2))).claims().sub, account.id)
    await signOut(page, back, rp, renewed.id_token)

    const next = await person(t) // another browser: only the link can sign it in
    const third = await rp.ask({ connection: 'acme' }) // straight to the upstream
    await next.page.goto(third.url)
    await signInThere(next.page)
    const answer = await arrive(next.page, back, 3)
    const again = await rp.redeem(third, answer)
    assert.equal(again.claims().sub, account.id)

    await assert.rejects(rp.redeem(third, answer), { error: 'invalid_grant' }) // and what it gave is gone
    await assert.rejects(oidc.refreshTokenGrant(rp.config, again.refresh_token), { error: 'invalid_grant' })
    assert.equal((await oidc.tokenIntrospection(rp.config, again.access_token)).active, false)
    assert.deepEqual([...log.complaints, ...next.log.complaints], [])
  })
}

test('walk: revoking the refresh token ends its access token, too', async (t) => {
  const { back, rp } = await setting(t, 'SQLite')
  const { page } = await person(t)
  const tokens = await linkAndArrive(page, back, rp)
  await oidc.tokenRevocation(rp.config, tokens.refresh_token)
  await assert.rejects(oidc.refreshTokenGrant(rp.config, tokens.refresh_token), { error: 'invalid_grant' })
  assert.equal((await oidc.tokenIntrospection(rp.config, tokens.access_token)).active, false)
})

test('walk: after a sign-out the broker asks who it is to be in words that the upstream knows', async (t) => {
  const { back, account, rp } = await setting(t, 'SQLite')
  const { page } = await person(t)
  const tokens = await linkAndArrive(page, back, rp)
  await signOut(page, back, rp, tokens.id_token)
  const ask = await rp.ask()
  await page.goto(ask.url)
  await providerButton(page, 'Acme').click()
  await signInThere(page) // it has no account chooser, so it must have been asked for a fresh sign-in
  assert.equal((await rp.redeem(ask, await arrive(page, back, 2))).claims().sub, account.id)
})
