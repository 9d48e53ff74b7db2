// An app on npm's openid-client, as its developer writes it: a registered client, a server, a person.
import { createPublicKey, verify } from 'node:crypto'
import { createServer } from 'node:http'
import * as oidc from 'openid-client'
import { deployment } from './deployment.mjs'
import { person, until } from './harness.mjs'
import { button, signIn } from './steps.mjs'

export const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }

/** The app's server. It keeps each response as the Request that openid-client wants, and each logout token. */
async function server(t) {
  const answers = []
  const logouts = []
  const listener = createServer(async (req, res) => {
    const url = new URL(req.url, origin())
    let body = ''
    for await (const chunk of req) body += chunk
    if (url.pathname === '/callback') {
      answers.push(req.method === 'POST' ? new Request(url, { method: 'POST', body, headers: { 'content-type': req.headers['content-type'] } }) : url)
    }
    if (url.pathname === '/backchannel' && req.method === 'POST') logouts.push(new URLSearchParams(body))
    res.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end('<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Back in the app</h1>')
  })
  const origin = () => `http://127.0.0.1:${listener.address().port}`
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.after(() => { listener.closeAllConnections(); listener.close() })
  return { origin: origin(), redirect: origin() + '/callback', answers, logouts }
}

/** A running deployment with one account. */
export async function provider(t) {
  const broker = await deployment(t, 'SQLite', { env: { GATEHOUSE_CLIENT_REGISTRATION: 'true' } })
  const account = await broker.addAccount(owner.email, owner.password)
  await broker.serve()
  return { broker, account }
}

/**
 * Registers an app with these flags, and standard input for a flag that reads it, and has openid-client discover the
 * provider. auth makes the client authentication from the registered client; without it the secret goes into a header.
 * metadata is what openid-client expects.
 */
export async function register(t, { broker, account }, { flags = () => [], input, auth, metadata } = {}) {
  const back = await server(t)
  const client = await broker.run(['clients', 'add', '--json', '--name', 'Garden', '--first-party', '--redirect-uri', back.redirect,
    '--post-logout-redirect-uri', back.origin + '/out', ...flags(back)], input)
  const config = await oidc.discovery(new URL(broker.issuer), client.client_id, metadata, auth?.(client) ?? oidc.ClientSecretBasic(client.client_secret),
    { execute: [oidc.allowInsecureRequests] })
  oidc.enableNonRepudiationChecks(config) // signatures are verified, though TLS vouches for the token endpoint
  return { broker, account, back, client, config, ...speaks(back, config) }
}

/** An app that registers itself with this metadata and an initial access token; auth as above. People must consent. */
export async function registerItself(t, { broker, account }, { metadata, auth }) {
  const back = await server(t)
  const { initial_access_token: initialAccessToken } = await broker.run(['clients', 'token', '--json'])
  const config = await oidc.dynamicClientRegistration(new URL(broker.issuer), {
    client_name: 'Garden', redirect_uris: [back.redirect], post_logout_redirect_uris: [back.origin + '/out'], grant_types: ['authorization_code', 'refresh_token'],
    scope: 'openid profile email offline_access', token_endpoint_auth_method: 'client_secret_post', ...metadata(back),
  }, auth, { initialAccessToken, execute: [oidc.allowInsecureRequests] })
  oidc.enableNonRepudiationChecks(config)
  return { broker, account, back, client: config.clientMetadata(), config, ...speaks(back, config) }
}

function speaks(back, config) {
  return {
    /** What an authorization request carries, and what its answer is checked against. */
    async parameters(extra = {}) {
      const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
      const expected = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true }
      const query = {
        redirect_uri: back.redirect, scope: 'openid profile email offline_access', state: expected.expectedState, nonce: expected.expectedNonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...extra,
      }
      return { expected, query }
    },
    async ask(extra) {
      const { expected, query } = await this.parameters(extra)
      return { expected, url: oidc.buildAuthorizationUrl(config, query).href }
    },
    redeem: ({ expected }, answer, options) => oidc.authorizationCodeGrant(config, answer, expected, undefined, options),
    /** Waits for the nth answer. */
    answer: (n = 1) => until(() => back.answers[n - 1], { about: `answer ${n} at the app` }),
  }
}

/** Signs the owner in for a request of an app, in a new browser, and returns it with the tokens. */
export async function walk(t, app, { extra, options } = {}) {
  const { page, log } = await person(t)
  const ask = await app.ask(extra)
  const before = app.back.answers.length
  await page.goto(ask.url)
  await signIn(page, owner)
  const answer = await allowed(page, app, before + 1)
  await page.waitForURL(app.back.redirect + '*') // the browser is there, too, and free to go elsewhere
  return { page, log, ask, tokens: await app.redeem(ask, answer, options) }
}

/** Waits for the nth response; consents on the way if asked to. */
export async function allowed(page, app, n) {
  const allow = button(page, 'Allow')
  await until(async () => {
    if (app.back.answers.length >= n) return true
    if (await allow.isVisible().catch(() => false)) await allow.click({ timeout: 2000 }).catch(() => {})
    return false
  }, { about: 'the app' })
  return app.answer(n)
}

/** Presses the first of these buttons that the page has. */
export async function press(page, ...names) {
  await until(async () => {
    for (const name of names) {
      if (await button(page, name).isVisible().catch(() => false)) return button(page, name).click({ timeout: 2000 }).then(() => true)
    }
    return false
  }, { about: `one of ${names}` })
}

/** Verifies a compact JWS by the provider's JWKS, without a library, and returns its header and claims. */
export async function opened(config, token) {
  const [head, body, signature] = token.split('.')
  const parse = (part) => JSON.parse(Buffer.from(part, 'base64url'))
  const { alg, kid, typ } = parse(head)
  const { keys } = await (await fetch(config.serverMetadata().jwks_uri)).json()
  const jwk = keys.find((k) => k.kid === kid)
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }
  const good = verify(alg === 'EdDSA' ? null : 'sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))
  if (!good) throw new Error('the signature is wrong')
  return { alg, kid, typ, claims: parse(body) }
}
