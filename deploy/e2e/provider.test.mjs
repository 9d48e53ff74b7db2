// The provider with npm's openid-client, against the real binary.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { opened, provider, register, walk } from './provider.mjs'

test('openid-client: code with PKCE, userinfo, refresh', async (t) => {
  const app = await register(t, await provider(t))
  const { tokens, log } = await walk(t, app)
  const claims = tokens.claims()
  assert.equal(claims.sub, app.account.id)
  assert.equal(claims.iss, app.broker.issuer)
  assert.equal(tokens.token_type, 'bearer')
  const about = await oidc.fetchUserInfo(app.config, tokens.access_token, claims.sub)
  assert.equal(about.email, 'nora@example.test')
  const next = await oidc.refreshTokenGrant(app.config, tokens.refresh_token)
  assert.equal(next.claims().sub, claims.sub)
  assert.equal(next.claims().auth_time, claims.auth_time)
  assert.notEqual(next.refresh_token, tokens.refresh_token)
  await oidc.fetchUserInfo(app.config, next.access_token, claims.sub)
  assert.deepEqual(log.complaints, [])
})

for (const [how, auth] of [['client_secret_post', (c) => oidc.ClientSecretPost(c.client_secret)], ['none', () => oidc.None()]]) {
  test(`openid-client: a client that authenticates with ${how}`, async (t) => {
    const app = await register(t, await provider(t), { flags: () => ['--auth-method', how], auth })
    const { tokens } = await walk(t, app)
    const next = await oidc.refreshTokenGrant(app.config, tokens.refresh_token)
    assert.equal(next.claims().sub, app.account.id)
  })
}

for (const alg of ['ES256', 'EdDSA']) {
  test(`openid-client: ID tokens that are signed with ${alg}`, async (t) => {
    const app = await register(t, await provider(t), { flags: () => ['--id-token-alg', alg], metadata: { id_token_signed_response_alg: alg } })
    const { tokens } = await walk(t, app)
    assert.equal(tokens.claims().sub, app.account.id)
    assert.equal((await opened(app.config, tokens.id_token)).alg, alg)
  })
}

test('openid-client: introspection and revocation', async (t) => {
  const app = await register(t, await provider(t))
  const { tokens } = await walk(t, app)
  const alive = await oidc.tokenIntrospection(app.config, tokens.access_token)
  assert.equal(alive.active, true)
  assert.equal(alive.sub, app.account.id)
  assert.equal(alive.client_id, app.client.client_id)
  assert.ok(alive.exp > Date.now() / 1000)
  await oidc.tokenRevocation(app.config, tokens.access_token)
  assert.equal((await oidc.tokenIntrospection(app.config, tokens.access_token)).active, false)
  await assert.rejects(oidc.refreshTokenGrant(app.config, tokens.refresh_token), { error: 'invalid_grant' })
  await oidc.tokenRevocation(app.config, 'what nobody issued') // is no error (RFC 7009 §2.2)
})

test('openid-client: client credentials', async (t) => {
  const app = await register(t, await provider(t), { flags: () => ['--grant', 'client_credentials', '--grant', 'authorization_code', '--scope', 'openid', '--scope', 'stock.read'] })
  const tokens = await oidc.clientCredentialsGrant(app.config, { scope: 'stock.read' })
  assert.equal(tokens.scope, 'stock.read')
  assert.equal((await oidc.tokenIntrospection(app.config, tokens.access_token)).active, true)
})

test('openid-client: a second request is answered silently, and refused after RP-initiated logout', async (t) => {
  const app = await register(t, await provider(t))
  const { page, tokens } = await walk(t, app)
  const silent = await app.ask({ prompt: 'none' })
  await page.goto(silent.url)
  assert.equal((await app.redeem(silent, await app.answer(2))).claims().sub, app.account.id)
  const state = oidc.randomState()
  await page.goto(oidc.buildEndSessionUrl(app.config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: app.back.origin + '/out', state }).href)
  await page.waitForURL(`${app.back.origin}/out*`)
  assert.equal(new URL(page.url()).searchParams.get('state'), state)
  const after = await app.ask({ prompt: 'none' })
  await page.goto(after.url)
  await assert.rejects(app.redeem(after, await app.answer(3)), { error: 'login_required' })
})

test('openid-client: an answer of another state, another nonce or another verifier is refused', async (t) => {
  const app = await register(t, await provider(t))
  const { page } = await walk(t, app)
  for (const [n, spoil] of [{ expectedState: 'another' }, { expectedNonce: 'another' }, { pkceCodeVerifier: oidc.randomPKCECodeVerifier() }].entries()) {
    const ask = await app.ask()
    await page.goto(ask.url)
    await assert.rejects(app.redeem({ expected: { ...ask.expected, ...spoil } }, await app.answer(n + 2)))
  }
})
