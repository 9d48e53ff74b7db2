// oidc-client-ts in a page: by redirect and in a popup. The server only serves files.
import { createRequire } from 'node:module'
import path from 'node:path'
import express from 'express'

const { ISSUER: authority, CLIENT_ID: client_id, PORT } = process.env
const origin = `http://127.0.0.1:${PORT}`
const settings = {
  authority, client_id, redirect_uri: origin + '/callback', popup_redirect_uri: origin + '/popup', post_logout_redirect_uri: origin + '/',
  scope: 'openid profile email offline_access',
}
const main = createRequire(import.meta.url).resolve('oidc-client-ts')
const app = express()
app.use('/lib', express.static(path.join(main, '../../browser')))
app.get('/{*path}', (_, res) => res.send(`<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>Loading</h1>
<script src="/lib/oidc-client-ts.min.js"></script><script type="module">
globalThis.manager = new oidc.UserManager(${JSON.stringify(settings)})
const heading = document.querySelector('h1')
try {
  if (location.pathname === '/popup') await manager.signinPopupCallback()
  if (location.pathname === '/callback') { await manager.signinRedirectCallback(); history.replaceState(null, '', '/') }
  heading.textContent = await manager.getUser() ? 'Signed in' : 'Welcome'
} catch (error) { heading.textContent = String(error) }
</script>`))
app.listen(PORT, '127.0.0.1')
