// The apps that are driven in their default configuration: how each starts, how it is used, and what must hold.
import { execFile, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('apps/', import.meta.url))
const run = promisify(execFile)
const need = (name) => process.env[name] ?? (() => { throw new Error(`set ${name}, or run deploy/check.sh`) })()
const pythonBin = (name) => path.join(need('GATEHOUSE_APPS_PYTHON'), 'bin', name)
const goBin = (name) => path.join(need('GATEHOUSE_APPS_GO'), name)

/** The version of an npm package. */
async function npm(name) {
  const paths = createRequire(import.meta.url).resolve.paths(name)
  for (const dir of paths) {
    const text = await readFile(path.join(dir, name, 'package.json'), 'utf8').catch(() => null)
    if (text) return `${name} ${JSON.parse(text).version}`
  }
  throw new Error(`${name} is not installed`)
}

async function pip(name) {
  const { stdout } = await run(pythonBin('pip'), ['show', name])
  return `${name} ${/^Version: (.*)$/m.exec(stdout)[1]}`
}

async function module(name) {
  const { stdout } = await run('go', ['list', '-m', name], { cwd: here })
  return stdout.trim()
}

/** The version of an installed Debian package. */
export async function debian(name) {
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Package} ${Version}', name])
  return stdout
}

const node = (file) => () => [process.execPath, path.join(here, file)]
const python = (file) => () => [pythonBin('python'), path.join(here, file)]

/** Writes the files of the Apache server, and returns how to start it. */
async function apache({ DIR }) {
  await chmod(DIR, 0o755) // its workers run as www-data
  await mkdir(path.join(DIR, 'htdocs/in'), { recursive: true })
  await writeFile(path.join(DIR, 'htdocs/index.html'), '<h1>Welcome</h1>')
  await writeFile(path.join(DIR, 'htdocs/in/index.html'), '<h1>Signed in</h1>')
  const claims = ['sub', 'email', 'name'].map((name) => `"${name}":"<!--#echo var="OIDC_CLAIM_${name}" -->"`)
  await writeFile(path.join(DIR, 'htdocs/in/me.shtml'), `{${claims}}`)
  return ['apache2', '-f', path.join(here, 'apache.conf'), '-D', 'FOREGROUND']
}

/**
 * One row an app. home is its first page, in opens its sign-in, path is its redirect URI, out signs out and out.to is where
 * its person ends; me, userinfo and refresh return JSON. flags are the settings that deploy/apps.md tells. A row without out,
 * userinfo or refresh is of a library that has none.
 * slow apps take minutes to compile, and run if GATEHOUSE_APPS is set.
 */
export const apps = [
  {
    name: 'mod_auth_openidc', start: apache, in: '/in/', path: '/in/callback', me: '/in/me.shtml', userinfo: '/in/callback?info=json',
    refresh: async (app, page) => {
      const info = await app.json(page, '/in/callback?info=json')
      await page.goto(`${app.origin}/in/callback?refresh=${encodeURIComponent(app.origin + '/in/')}&access_token=${info.access_token}`)
      return { refreshed: (await app.json(page, '/in/callback?info=json')).access_token !== info.access_token }
    },
    out: (origin) => `/in/callback?logout=${encodeURIComponent(origin + '/')}`, flags: () => ['--error-iss', 'off'],
    version: () => debian('libapache2-mod-auth-openidc'),
  },
  {
    name: '@auth/express', start: node('auth-express.mjs'), in: '/auth/signin', press: 'Sign in with Gatehouse',
    path: '/auth/callback/gatehouse', me: '/me', only: ['email', 'name'], version: () => npm('@auth/express'),
  },
  {
    name: 'express-openid-connect', start: node('express-openid-connect.mjs'), in: '/login', path: '/callback', home: '', me: '/me',
    userinfo: '/userinfo', refresh: '/refresh', out: () => '/logout', version: () => npm('express-openid-connect'),
  },
  {
    name: 'passport-openidconnect', start: node('passport.mjs'), in: '/login', path: '/callback', me: '/me',
    version: () => npm('passport-openidconnect'),
  },
  {
    name: 'Authlib', start: python('authlib_app.py'), in: '/login', path: '/callback', me: '/me', userinfo: '/userinfo', refresh: '/refresh',
    version: () => pip('Authlib'),
  },
  {
    name: 'mozilla-django-oidc', start: python('django_app.py'), in: '/oidc/authenticate/', path: '/oidc/callback/', me: '/me', only: ['email'],
    version: () => pip('mozilla-django-oidc'),
  },
  {
    name: 'JupyterHub', in: '/hub/oauth_login', path: '/hub/oauth_callback', ready: '/hub/login', signedIn: /\/hub\/home/,
    env: () => ({ PROXY: path.join(here, '../node_modules/.bin/configurable-http-proxy') }),
    start: () => [pythonBin('jupyterhub'), '-f', path.join(here, 'jupyterhub_config.py')], version: () => pip('oauthenticator'),
  },
  {
    name: 'oauth2-proxy', slow: true, in: '/oauth2/start', path: '/oauth2/callback', ready: '/ping', me: '/oauth2/userinfo', only: ['email'],
    out: () => '/oauth2/sign_out', version: () => module('github.com/oauth2-proxy/oauth2-proxy/v7'),
    start: ({ ISSUER, CLIENT_ID, CLIENT_SECRET, PORT }) => [goBin('oauth2-proxy'), '--provider=oidc', `--oidc-issuer-url=${ISSUER}`,
      `--client-id=${CLIENT_ID}`, `--client-secret=${CLIENT_SECRET}`, `--redirect-url=http://127.0.0.1:${PORT}/oauth2/callback`,
      `--http-address=127.0.0.1:${PORT}`, '--email-domain=*', '--cookie-secret=0123456789abcdef0123456789abcdef', '--cookie-secure=false',
      '--upstream=static://200', '--code-challenge-method=S256', `--backend-logout-url=${ISSUER}/end_session?id_token_hint={id_token}`],
  },
  {
    name: 'zitadel/oidc', start: () => [goBin('zitadel')], in: '/login', path: '/callback', me: '/me', refresh: '/refresh', out: () => '/logout',
    version: () => module('github.com/zitadel/oidc/v3'),
  },
].filter(({ slow }) => !slow || process.env.GATEHOUSE_APPS)

/** A single-page app, whose library runs in the browser. */
export const spa = {
  name: 'oidc-client-ts', start: node('oidc-client-ts.mjs'), path: '/callback', version: () => npm('oidc-client-ts'),
  flags: (origin) => ['--auth-method', 'none', '--redirect-uri', origin + '/popup'],
}

/** A command-line tool on go-oidc and x/oauth2, as kubelogin is one. */
export const tool = { start: () => [goBin('tool')], version: () => module('github.com/coreos/go-oidc/v3') }

/** Starts the process of an app. */
export async function launch(app, env) {
  const [command, ...args] = await app.start(env)
  return spawn(command, args, { cwd: env.DIR, env: { ...process.env, ...env, ...app.env?.() }, stdio: ['ignore', 'pipe', 'pipe'] })
}
