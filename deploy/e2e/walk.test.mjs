// The journey between two counterparts that we did not write: npm's oidc-provider vouches, npm's openid-client asks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { deployment, engines } from './deployment.mjs'
import { app, person, until } from './harness.mjs'
import { arrive, button, expectHeading, field, passwordField, providerButton } from './steps.mjs'
import { startUpstream } from './upstream.mjs'

const email = 'vera@example.test'
const password = 'the password of vera'

/** The app's side, as its developer writes it. */
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

for (const engine of engines) {
  test(`walk: a real upstream and a real app meet over a confirmed link, on ${engine}`, async (t) => {
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
    const rp = await relyingParty(broker.issuer, client, redirect)
    const { page, log } = await person(t)

    const first = await rp.ask()
    await page.goto(first.url)
    await expectHeading(page, 'Sign in')
    await providerButton(page, 'Acme').click()
    await field(page, 'Login').fill('vera')
    await button(page, 'Sign in').click()
    await expectHeading(page, 'Link Acme to your account?')
    await passwordField(page).fill(password)
    await button(page, 'Link and sign in').click()
    const tokens = await rp.redeem(first, await arrive(page, back, 1))
    const claims = tokens.claims()
    assert.equal(claims.sub, account.id)
    assert.equal(claims.email, email)
    assert.equal(claims.iss, broker.issuer)
    const info = await oidc.fetchUserInfo(rp.config, tokens.access_token, claims.sub)
    assert.equal(info.email, email)
    assert.equal((await oidc.tokenIntrospection(rp.config, tokens.access_token)).active, true)

    const renewed = await oidc.refreshTokenGrant(rp.config, tokens.refresh_token)
    assert.equal(renewed.claims().sub, account.id)
    assert.notEqual(renewed.refresh_token, tokens.refresh_token)

    const second = await rp.ask({ prompt: 'none' }) // the session is good for this app
    await page.goto(second.url)
    const silent = await rp.redeem(second, await arrive(page, back, 2))
    assert.equal(silent.claims().sub, account.id)

    await page.goto(oidc.buildEndSessionUrl(rp.config, { id_token_hint: renewed.id_token, post_logout_redirect_uri: back.origin + '/out' }).href)
    await page.waitForURL(back.origin + '/out*')
    const third = await rp.ask({ connection: 'acme' }) // straight to the upstream, and linked for good
    await page.goto(third.url)
    const loginForm = field(page, 'Login')
    await until(async () => back.answers().length >= 3 || await loginForm.isVisible())
    if (await loginForm.isVisible()) {
      await loginForm.fill('vera')
      await button(page, 'Sign in').click()
    }
    const again = await rp.redeem(third, await arrive(page, back, 3))
    assert.equal(again.claims().sub, account.id)

    await oidc.tokenRevocation(rp.config, again.refresh_token)
    await assert.rejects(oidc.refreshTokenGrant(rp.config, again.refresh_token), { error: 'invalid_grant' })
    assert.equal((await oidc.tokenIntrospection(rp.config, again.access_token)).active, false)
    // One who replays a rotated refresh token ends what was born of it.
    await assert.rejects(rp.redeem(first, { ...back.answers()[0].query }), { error: 'invalid_grant' })
    assert.deepEqual(log.complaints, [])
  })
}
