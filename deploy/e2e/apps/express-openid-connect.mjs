// express-openid-connect, with the code flow in place of its default, the implicit flow.
import express from 'express'
import oidc from 'express-openid-connect'

const { ISSUER: issuerBaseURL, CLIENT_ID: clientID, CLIENT_SECRET: clientSecret, PORT } = process.env
const app = express()
app.use(oidc.auth({
  issuerBaseURL, clientID, clientSecret, baseURL: `http://127.0.0.1:${PORT}`, secret: 'a secret of the test app alone, long enough',
  authRequired: false, idpLogout: true, authorizationParams: { response_type: 'code', scope: 'openid profile email offline_access' },
}))
app.get('/me', (req, res) => res.json(req.oidc.user ?? null))
app.get('/userinfo', async (req, res) => res.json(await req.oidc.fetchUserInfo()))
app.get('/refresh', async (req, res) => {
  const before = req.oidc.accessToken.access_token
  const { access_token: after } = await req.oidc.accessToken.refresh()
  res.json({ refreshed: after !== before })
})
app.get('/', (req, res) => res.send(`<h1>${req.oidc.isAuthenticated() ? 'Signed in' : 'Welcome'}</h1>`))
app.listen(PORT, '127.0.0.1')
