// What high-value apps use, with npm's openid-client: private_key_jwt, PAR, DPoP.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as oidc from 'openid-client'
import { allowed, opened, owner, provider, register, registerItself, walk } from './provider.mjs'
import { person } from './harness.mjs'
import { signIn } from './steps.mjs'

/** A key pair of an app: the private key as openid-client wants it, the public one as a JWKS. */
async function keyPair(algorithm, kid) {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const { alg, ext, key_ops, ...jwk } = await crypto.subtle.exportKey('jwk', publicKey)
  return { key: { key: privateKey, kid }, jwks: { keys: [{ ...jwk, kid, use: 'sig' }] } }
}

const rsa = (name) => ({ name, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' })
const algorithms = { ES256: { name: 'ECDSA', namedCurve: 'P-256' }, PS256: rsa('RSA-PSS'), RS256: rsa('RSASSA-PKCS1-v1_5'), EdDSA: { name: 'Ed25519' }, Ed25519: { name: 'Ed25519' } }

/** The library knows EdDSA only by its newer name (RFC 9864), so this writes the older one over it. */
const speaker = (key, alg) => oidc.PrivateKeyJwt(key, alg === 'EdDSA' ? { [oidc.modifyAssertion]: (header) => { header.alg = alg } } : undefined)

/** Tries everything that needs client authentication, and that another key gets nothing. */
async function provesItself(t, app, algorithm, alg) {
  const ask = async () => {
    const { expected, query } = await app.parameters()
    return { expected, url: (await oidc.buildAuthorizationUrlWithPAR(app.config, query)).href }
  }
  const { tokens } = await walk(t, { ...app, ask })
  assert.equal(tokens.claims().sub, app.account.id)
  assert.equal((await oidc.refreshTokenGrant(app.config, tokens.refresh_token)).claims().sub, app.account.id)
  assert.equal((await oidc.tokenIntrospection(app.config, tokens.access_token)).active, true)
  const stranger = await oidc.discovery(new URL(app.broker.issuer), app.client.client_id, undefined, speaker((await keyPair(algorithm, 'one')).key, alg),
    { execute: [oidc.allowInsecureRequests] })
  const { query } = await app.parameters()
  for (const call of [() => oidc.refreshTokenGrant(stranger, tokens.refresh_token), () => oidc.tokenIntrospection(stranger, tokens.access_token),
    () => oidc.tokenRevocation(stranger, tokens.access_token), () => oidc.buildAuthorizationUrlWithPAR(stranger, query)]) {
    await assert.rejects(call, { error: 'invalid_client', status: 401 })
  }
  await oidc.tokenRevocation(app.config, tokens.access_token)
  assert.equal((await oidc.tokenIntrospection(app.config, tokens.access_token)).active, false)
}

for (const [alg, algorithm] of Object.entries(algorithms)) {
  test(`openid-client: private_key_jwt with ${alg}`, async (t) => {
    const { key, jwks } = await keyPair(algorithm, 'one')
    const app = await register(t, await provider(t), {
      flags: () => ['--auth-method', 'private_key_jwt', '--auth-alg', alg, '--jwks-file', '-'], input: JSON.stringify(jwks), auth: () => speaker(key, alg),
    })
    assert.equal(app.client.client_secret, undefined)
    await provesItself(t, app, algorithm, alg)
  })
}

test('openid-client: an app that registers itself with its key', async (t) => {
  const { key, jwks } = await keyPair(algorithms.PS256, 'one')
  const app = await registerItself(t, await provider(t), {
    metadata: () => ({ token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'PS256', jwks }), auth: speaker(key, 'PS256'),
  })
  await provesItself(t, app, algorithms.PS256, 'PS256')
})

test('openid-client: pushed authorization requests', async (t) => {
  const app = await register(t, await provider(t))
  const ask = async () => {
    const { expected, query } = await app.parameters()
    return { expected, url: (await oidc.buildAuthorizationUrlWithPAR(app.config, query)).href }
  }
  const { page, ask: first, tokens } = await walk(t, { ...app, ask })
  assert.deepEqual([...new URL(first.url).searchParams.keys()].sort(), ['client_id', 'request_uri'])
  assert.equal(tokens.claims().sub, app.account.id)
  await page.goto(first.url) // its code was issued, so it is used up
  assert.equal(app.back.answers.length, 1)
  assert.equal(new URL(page.url()).origin, app.broker.issuer)
  const second = await ask()
  await page.goto(second.url)
  assert.equal((await app.redeem(second, await app.answer(2))).claims().sub, app.account.id)
})

test('openid-client: an app that has to push its requests may not send them through the browser', async (t) => {
  const app = await register(t, await provider(t), { flags: () => ['--require-par'] })
  const { page } = await person(t)
  const plain = await app.ask()
  await page.goto(plain.url)
  await assert.rejects(app.redeem(plain, await app.answer()), { error: 'invalid_request' })
  const { expected, query } = await app.parameters()
  await page.goto((await oidc.buildAuthorizationUrlWithPAR(app.config, query)).href)
  await signIn(page, owner)
  assert.equal((await app.redeem({ expected }, await allowed(page, app, 2))).claims().sub, app.account.id)
})

for (const [kind, flags, auth] of [['confidential', [], undefined], ['public', ['--auth-method', 'none'], () => oidc.None()]]) {
  test(`openid-client: DPoP for a ${kind} client`, async (t) => {
    const app = await register(t, await provider(t), { flags: () => flags, auth })
    const DPoP = oidc.getDPoPHandle(app.config, await oidc.randomDPoPKeyPair('ES256'))
    const { tokens } = await walk(t, app, { options: { DPoP } })
    assert.equal(tokens.token_type, 'dpop')
    const sub = tokens.claims().sub
    assert.equal((await oidc.fetchUserInfo(app.config, tokens.access_token, sub, { DPoP })).email, owner.email)
    await assert.rejects(oidc.fetchUserInfo(app.config, tokens.access_token, sub), { status: 401 }, 'without a proof the token is worth nothing')
    const thief = oidc.getDPoPHandle(app.config, await oidc.randomDPoPKeyPair('ES256'))
    await assert.rejects(oidc.fetchUserInfo(app.config, tokens.access_token, sub, { DPoP: thief }), { status: 401 })
    const next = await oidc.refreshTokenGrant(app.config, tokens.refresh_token, undefined, { DPoP })
    assert.equal(next.token_type, 'dpop')
    await oidc.fetchUserInfo(app.config, next.access_token, sub, { DPoP })
    if (kind === 'public') await assert.rejects(oidc.refreshTokenGrant(app.config, next.refresh_token, undefined, { DPoP: thief }), { error: 'invalid_grant' })
    else assert.equal(typeof (await oidc.tokenIntrospection(app.config, next.access_token)).cnf.jkt, 'string')
  })
}

test('openid-client: PAR and DPoP together bind the code to the key', async (t) => {
  const app = await register(t, await provider(t))
  const DPoP = oidc.getDPoPHandle(app.config, await oidc.randomDPoPKeyPair('ES256'))
  const ask = async () => {
    const { expected, query } = await app.parameters()
    return { expected, url: (await oidc.buildAuthorizationUrlWithPAR(app.config, query, { DPoP })).href }
  }
  const { page, tokens } = await walk(t, { ...app, ask }, { options: { DPoP } })
  assert.equal(tokens.token_type, 'dpop')
  const again = await ask()
  await page.goto(again.url)
  const thief = oidc.getDPoPHandle(app.config, await oidc.randomDPoPKeyPair('ES256'))
  await assert.rejects(app.redeem(again, await app.answer(2), { DPoP: thief }), { error: 'invalid_grant' })
})

for (const alg of ['ES256', 'Ed25519']) {
  test(`openid-client: an app that is held to DPoP proves itself with ${alg}, and gets nothing without`, async (t) => {
    const app = await register(t, await provider(t), { flags: () => ['--dpop', '--access-token', 'jwt'] })
    assert.ok(app.config.serverMetadata().dpop_signing_alg_values_supported.includes(alg))
    const DPoP = oidc.getDPoPHandle(app.config, await oidc.randomDPoPKeyPair(alg))
    const { page, tokens } = await walk(t, app, { options: { DPoP } })
    assert.equal(tokens.token_type, 'dpop')
    const { typ, claims } = await opened(app.config, tokens.access_token)
    assert.deepEqual([typ, claims.cnf.jkt], ['at+jwt', await DPoP.calculateThumbprint()])
    assert.equal((await oidc.fetchUserInfo(app.config, tokens.access_token, tokens.claims().sub, { DPoP })).email, owner.email)
    const next = await oidc.refreshTokenGrant(app.config, tokens.refresh_token, undefined, { DPoP })
    await assert.rejects(oidc.refreshTokenGrant(app.config, next.refresh_token), { error: 'invalid_dpop_proof', status: 400 })
    const again = await app.ask()
    await page.goto(again.url)
    await assert.rejects(app.redeem(again, await app.answer(2)), { error: 'invalid_dpop_proof', status: 400 })
  })
}
