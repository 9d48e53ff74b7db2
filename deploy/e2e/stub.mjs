// An upstream whose responses the test sets: any person, any refusal, in any order.
import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'

const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * Starts it on a free port of 127.0.0.1. It is an OpenID Provider under its origin, and a Microsoft authority for one
 * tenant. next decides the next sign-ins: claims of the person, an error, token for a status of the token endpoint,
 * hash, a fragment at the end of the response, or meanwhile, a function that runs while the person is there. asked is the
 * last authorization request.
 */
export async function startStub(t, tenant) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const codes = new Map()
  const stub = { next: {}, tenant, client_id: 'gatehouse', client_secret: randomBytes(24).toString('base64url') }
  const server = createServer(async (req, res) => {
    const url = new URL(req.url, stub.issuer)
    const json = (status, value) => res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    const base = url.pathname.startsWith(`/${tenant}/v2.0`) ? `/${tenant}/v2.0` : ''
    switch (url.pathname.slice(base.length)) {
      case '/.well-known/openid-configuration':
        return json(200, {
          issuer: stub.issuer + base, authorization_endpoint: stub.issuer + base + '/authorize', token_endpoint: stub.issuer + base + '/token',
          jwks_uri: stub.issuer + base + '/keys', response_types_supported: ['code'], subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: ['RS256'], token_endpoint_auth_methods_supported: ['client_secret_post'],
        })
      case '/keys':
        return json(200, { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256', ...(base && { issuer: stub.issuer + base }) }] })
      case '/authorize': {
        const back = new URL(url.searchParams.get('redirect_uri'))
        back.searchParams.set('state', url.searchParams.get('state'))
        stub.asked = Object.fromEntries(url.searchParams)
        const { error, description, claims, meanwhile, hash = '' } = stub.next
        await meanwhile?.()
        if (error) {
          back.searchParams.set('error', error)
          if (description) back.searchParams.set('error_description', description)
        } else {
          const code = randomBytes(12).toString('base64url')
          codes.set(code, { nonce: url.searchParams.get('nonce'), claims, base })
          back.searchParams.set('code', code)
        }
        return res.writeHead(302, { location: back.href + hash }).end()
      }
      case '/token': {
        if (stub.next.token) return json(stub.next.token, { error: 'server_error' })
        let body = ''
        for await (const chunk of req) body += chunk
        const { nonce, claims, base } = codes.get(new URLSearchParams(body).get('code')) ?? {}
        const now = Math.floor(Date.now() / 1000)
        const signed = b64({ alg: 'RS256', kid: 'one', typ: 'JWT' }) + '.' +
          b64({ iss: stub.issuer + base, aud: stub.client_id, iat: now, exp: now + 300, nonce, ...claims })
        const signature = createSign('RSA-SHA256').update(signed).sign(privateKey).toString('base64url')
        return json(200, { access_token: randomBytes(12).toString('base64url'), token_type: 'Bearer', expires_in: 300, id_token: `${signed}.${signature}` })
      }
    }
    return json(404, {})
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  stub.issuer = `http://127.0.0.1:${server.address().port}`
  return stub
}

/** The claims of a person at the stub as a Microsoft authority. */
export const microsoftPerson = (stub, oid, email, more = {}) => ({
  ver: '2.0', tid: stub.tenant, oid, sub: oid, name: 'Ana Silva', ...(email && { email, xms_edov: true }), ...more,
})

/** The claims of a person at the stub as an OpenID Provider. */
export const person = (sub, email, more = {}) => ({ sub, name: 'Ana Silva', ...(email && { email, email_verified: true }), ...more })
