// An upstream that we did not write: npm's oidc-provider, with one client (the broker) and its own login page.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'

// It logs every default that a deployment should change; this keeps it off the console.
console.info = console.warn = () => {}
const { Provider } = await import('oidc-provider')

/**
 * Starts the provider on a free port of 127.0.0.1; people maps a login name to claims. metadata is added to the client's,
 * odd to the provider's configuration.
 */
export async function startUpstream(t, { redirectURI, people, port = 0, metadata, odd: { features, ...odd } = {} }) {
  const server = createServer()
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  const issuer = `http://127.0.0.1:${server.address().port}`
  const client = { client_id: 'gatehouse', client_secret: randomBytes(24).toString('base64url') }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const provider = new Provider(issuer, {
    clients: [{ ...client, ...metadata, redirect_uris: [redirectURI], grant_types: ['authorization_code'], response_types: ['code'] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name'] },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false }, ...features },
    findAccount: (_, sub) => people[sub] && { accountId: sub, claims: () => ({ sub, ...people[sub] }) },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      // Its one client may have what it asks for: consent at the upstream is not what is tried here.
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid email profile')
      await grant.save()
      return grant
    },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'upstream', use: 'sig' }] },
    cookies: { keys: [randomBytes(24).toString('base64url')] },
    ...odd,
  })
  const answer = provider.callback()
  const form = '<!doctype html><title>Upstream</title><h1>Who are you?</h1><form method="post"><label>Login <input name="login"></label><button>Sign in</button></form>'
  const seen = []
  server.on('request', async (req, res) => {
    seen.push(`${req.method} ${req.url.split('?')[0]}`)
    if (!req.url.startsWith('/interaction/')) return answer(req, res)
    if (req.method === 'GET') return res.writeHead(200, { 'content-type': 'text/html' }).end(form)
    let body = ''
    for await (const chunk of req) body += chunk
    return provider.interactionFinished(req, res, { login: { accountId: new URLSearchParams(body).get('login') } })
  })
  return { issuer, seen, ...client }
}
