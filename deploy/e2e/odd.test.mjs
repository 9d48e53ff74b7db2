// npm's oidc-provider in configurations that are allowed and unusual: each signs a person in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment } from './deployment.mjs'
import { app, freePort, person, redirectAt, request } from './harness.mjs'
import { arrive, button, expectHeading, field, passwordField, providerButton } from './steps.mjs'
import { startUpstream } from './upstream.mjs'

const email = 'vera@example.test'
const password = 'the password of vera'

for (const [name, { metadata, odd, key, flags = [], wants = [] }] of Object.entries({
  'userinfo that is signed and has the address alone': {
    metadata: { userinfo_signed_response_alg: 'RS256' }, odd: { conformIdTokenClaims: true, features: { jwtUserinfo: { enabled: true } } }, wants: ['GET /me'],
  },
  'ID tokens by PS512': { metadata: { id_token_signed_response_alg: 'PS512' }, odd: { enabledJWA: { idTokenSigningAlgValues: ['PS512'] } } },
  'private_key_jwt alone': { key: true, metadata: { token_endpoint_auth_method: 'private_key_jwt' }, odd: { clientAuthMethods: ['private_key_jwt'] } },
  'pushed authorization requests required': {
    odd: { features: { pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } } }, wants: ['POST /request'],
  },
  'private_key_jwt for pushed requests': {
    key: true, metadata: { token_endpoint_auth_method: 'private_key_jwt' }, wants: ['POST /request'],
    odd: { clientAuthMethods: ['private_key_jwt'], features: { pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } } },
  },
  'client_secret_post alone': { metadata: { token_endpoint_auth_method: 'client_secret_post' }, odd: { clientAuthMethods: ['client_secret_post'] } },
  'fixed parameters': { flags: ['--set', 'authorize_params=acr_values=silver&claims_locales=de'] },
})) {
  test(`oidc-provider with ${name}`, async (t) => {
    const broker = await deployment(t, 'SQLite')
    const port = await freePort()
    const add = (secret, ...more) => broker.run(['connections', 'add', 'acme', '--kind', 'oidc', '--name', 'Acme', '--issuer', `http://127.0.0.1:${port}`,
      '--client-id', 'gatehouse', '--live', '--json', ...flags, ...more], secret)
    const made = key && await add('', '--generate-key')
    const upstream = await startUpstream(t, {
      redirectURI: broker.callback('acme'), port, odd, metadata: { ...metadata, ...key && { jwks: made.client_keys, client_secret: undefined } },
      people: { vera: { email, email_verified: true, name: 'Vera Lind' } },
    })
    if (!key) await add(upstream.client_secret, '--client-secret-file', '-')
    await broker.run(['connections', 'test', 'acme'])
    await broker.addAccount(email, password)
    const back = await app(t)
    const client = await broker.addClient('--name', 'Walk', '--first-party', '--native', '--auth-method', 'none', '--redirect-uri', 'http://127.0.0.1/callback')
    await broker.serve()
    const { page } = await person(t)
    await page.goto(request({ issuer: broker.issuer }, client, redirectAt(client, back.origin)).url)
    await providerButton(page, 'Acme').click()
    await field(page, 'Login').fill('vera')
    await button(page, 'Sign in').click()
    await expectHeading(page, 'Link Acme to your account?')
    await passwordField(page).fill(password)
    await button(page, 'Link and sign in').click()
    assert.ok((await arrive(page, back, 1)).code)
    for (const request of wants) assert.ok(upstream.seen.includes(request), `${request} is not in ${upstream.seen}`)
  })
}
