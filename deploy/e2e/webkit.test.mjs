// WebKit over plain http on a loopback host: it drops Secure cookies there, and those named __Host-. Debian's
// WebKitWebDriver is driven over the WebDriver protocol; Xvfb is its screen.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { freePort, startDemo, until } from './harness.mjs'

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf' // W3C WebDriver §12

/** Starts a program that ends with the test. */
function run(t, command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let output = ''
  child.stderr.on('data', (d) => { output += d })
  const gone = new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  t.after(() => { child.kill(); return gone })
  return { child, output: () => output }
}

/** A free X display: Xvfb chooses it and writes its number to the third stream. */
async function screen(t) {
  const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const gone = new Promise((resolve) => child.on('exit', resolve).on('error', resolve))
  t.after(() => { child.kill(); return gone })
  let number = ''
  child.stdio[3].on('data', (d) => { number += d })
  return ':' + await until(() => number.trim(), { about: 'Xvfb' })
}

/** Debian's browser for automation, under the folder of its architecture. */
function miniBrowser() {
  const folders = readdirSync('/usr/lib').flatMap((at) => ['4.1', '4.0'].map((v) => `/usr/lib/${at}/webkit2gtk-${v}/MiniBrowser`))
  const found = folders.filter((file) => existsSync(file))
  assert.ok(found.length, 'install webkit2gtk-driver, or run deploy/check.sh')
  return found[0]
}

/** A WebKit window: its WebDriver commands, by the words of the pages. */
async function webkit(t) {
  const port = await freePort()
  const driver = run(t, 'WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
    DISPLAY: await screen(t), WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', LIBGL_ALWAYS_SOFTWARE: '1', GDK_BACKEND: 'x11', NO_AT_BRIDGE: '1',
  })
  const base = `http://127.0.0.1:${port}`
  await until(() => fetch(base + '/status').then((r) => r.ok), { about: 'WebKitWebDriver' })
  const send = async (method, path, body) => {
    const res = await fetch(base + path, { method, body: method === 'POST' ? JSON.stringify(body ?? {}) : undefined })
    const { value } = await res.json()
    if (!res.ok) throw new Error(`${path}: ${value?.error}: ${value?.message} ${driver.output().slice(-500)}`)
    return value
  }
  const capabilities = { alwaysMatch: { browserName: 'MiniBrowser', 'webkitgtk:browserOptions': {
    binary: miniBrowser(), args: ['--automation'] } } }
  const { sessionId, capabilities: got } = await send('POST', '/session', { capabilities })
  const at = `/session/${sessionId}`
  t.after(() => send('DELETE', at).catch(() => {}))
  const find = (xpath) => until(async () => (await send('POST', at + '/element', { using: 'xpath', value: xpath }))[ELEMENT], { seconds: 40, about: xpath })
    .catch(async (error) => { throw new Error(`${await text()}`, { cause: error }) })
  const text = () => send('POST', at + '/execute/sync', { script: 'return location.href + "\\n" + document.body.innerText', args: [] })
  return {
    version: `${got.browserName} ${got.browserVersion}`,
    go: (url) => send('POST', at + '/url', { url }),
    url: () => send('GET', at + '/url'),
    text,
    click: async (xpath) => send('POST', `${at}/element/${await find(xpath)}/click`),
    type: async (xpath, value) => send('POST', `${at}/element/${await find(xpath)}/value`, { text: value }),
    cookies: () => send('GET', at + '/cookie'),
    /** Waits for a page with this heading. */
    see: (heading) => find(`//h1[contains(normalize-space(.), "${heading}")]`),
  }
}

const link = (words) => `//a[contains(normalize-space(.), "${words}")]`
const button = (words) => `//main//button[contains(normalize-space(.), "${words}")]`
const input = (name) => `//main//input[@name="${name}"]`

test('webkit: the tour of the demo, from the first page to signed in and signed out, over plain http', async (t) => {
  const demo = await startDemo(t)
  const page = await webkit(t)
  t.diagnostic(page.version)
  const { email, password } = demo.account
  const signIn = async () => {
    await page.go(demo.app)
    await page.click(link('Sign in'))
    await page.see('Sign in')
  }
  const signOut = async () => {
    await page.click(link('Sign out'))
    await page.see('Courts Booking')
  }

  // Linking, and the next time one click.
  await signIn()
  await page.click(link('Continue with Google'))
  await page.click(link('Ana Silva'))
  await page.see('Link Google to your account?')
  await page.type(input('password'), password)
  await page.click(button('Link and sign in'))
  await page.see('Ana Silva')
  await signOut()
  await signIn()
  await page.click(link('Continue with Google'))
  await page.click(link('Ana Silva'))
  await page.see('Ana Silva')
  assert.match(await page.text(), new RegExp(email))
  await signOut()

  // A mailed code, in the form that the provider has posted to us across sites.
  await signIn()
  await page.click(link('Continue with Facebook'))
  await page.click(link('Fay Okoro'))
  await page.click(button('new'))
  const { email: fay } = demo.persona('meta', 'fay')
  await page.type(input('code'), await demo.mailedCode(fay))
  await page.click('//main//form[contains(@action, "/code")]//button[@type="submit"]')
  await page.click('//main//form[contains(@action, "/register")]//button[@type="submit"]')
  await page.see('Fay')
  await signOut()

  // A refusal, which keeps the way back.
  await signIn()
  await page.click(link('Continue with Microsoft'))
  await page.click(link('Eva Fischer'))
  await page.see('That organisation')
  await page.click(link('Other ways to sign in'))
  await page.see('Sign in')

  // A password.
  await page.type(input('email'), email)
  await page.click(button('Continue'))
  await page.type(input('password'), password)
  await page.click(button('Sign in'))
  await page.see('Ana Silva')
  await page.go(demo.issuer + '/account')
  await page.see('account')
  const set = (await page.cookies()).filter((c) => c.name.startsWith('gh_'))
  assert.ok(set.some((c) => c.name === 'gh_session') && set.every((c) => c.httpOnly && !c.secure), JSON.stringify(set))
})
