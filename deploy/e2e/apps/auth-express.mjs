// @auth/express (Auth.js), as its guide shows a provider of one's own.
import { ExpressAuth, getSession } from '@auth/express'
import express from 'express'

const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, PORT } = process.env
const config = {
  providers: [{ id: 'gatehouse', name: 'Gatehouse', type: 'oidc', issuer, clientId, clientSecret }],
  secret: 'a secret of the test app alone, long enough', trustHost: true,
}
const app = express()
app.use(/^\/auth\/(.*)/, ExpressAuth(config)) // a pattern with a number, which the library reads under Express 5 too
app.get('/me', async (req, res) => res.json((await getSession(req, config))?.user ?? null))
app.get('/', (_, res) => res.send('<h1>Welcome</h1>'))
app.listen(PORT, '127.0.0.1')
