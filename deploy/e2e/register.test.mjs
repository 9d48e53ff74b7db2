// An app that registers itself with npm's openid-client and an initial access token, and the person's consent.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { deployment } from './deployment.mjs'
import { app, person as browse } from './harness.mjs'
import { button, expectHeading, signIn } from './steps.mjs'

const insecure = { execute: [oidc.allowInsecureRequests] }

test('openid-client: an app registers itself with a token that works once, signs somebody in, and removes itself', async (t) => {
  const broker = await deployment(t, 'SQLite', { env: { GATEHOUSE_CLIENT_REGISTRATION: 'true' } })
  await broker.serve()
  const back = await app(t)
  const owner = { email: 'keeper@example.test', password: 'nine lanterns at low tide' }
  await broker.addAccount(owner.email, owner.password)
  const { initial_access_token: initialAccessToken } = await broker.run(['clients', 'token', '--json'])
  const callback = back.origin + '/callback'
  const metadata = { redirect_uris: [callback], client_name: 'Night Ferry', grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'client_secret_post' }
  const config = await oidc.dynamicClientRegistration(new URL(broker.issuer), metadata, undefined, { initialAccessToken, ...insecure })
  await assert.rejects(oidc.dynamicClientRegistration(new URL(broker.issuer), metadata, undefined, { initialAccessToken, ...insecure }))

  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const url = oidc.buildAuthorizationUrl(config, { redirect_uri: callback, scope: 'openid email', state,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' })
  const { page } = await browse(t)
  await page.goto(url.href)
  await signIn(page, owner)
  await expectHeading(page, /^Night Ferry wants to use your .+ account$/)
  assert.match(await page.locator('main').innerText(), /Night Ferry registered itself here\. Nobody at .+ has checked who runs it\./)
  await button(page, 'Allow').click()
  await page.waitForURL((at) => at.origin === back.origin)
  const tokens = await oidc.authorizationCodeGrant(config, new URL(page.url()), { pkceCodeVerifier: verifier, expectedState: state })
  assert.equal((await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).email, owner.email)

  const mine = config.clientMetadata()
  const manage = (method) => fetch(mine.registration_client_uri, { method, headers: { authorization: 'Bearer ' + mine.registration_access_token } })
  assert.equal((await (await manage('GET')).json()).client_name, 'Night Ferry')
  assert.equal((await manage('DELETE')).status, 204)
  assert.equal((await manage('GET')).status, 401)
  await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub))
})
