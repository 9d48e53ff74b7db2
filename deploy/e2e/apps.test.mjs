// Apps that we did not write, in their default configuration: sign-in, claims, userinfo, refresh, sign-out.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { apps, launch, spa, tool } from './apps.mjs'
import { deployment } from './deployment.mjs'
import { freePort, person, scratch, supervise, until } from './harness.mjs'
import { life } from './setup.mjs'
import { button, expectHeading, h1, signIn } from './steps.mjs'

const owner = { email: 'nora@example.test', password: 'a kettle on the ninth shelf' }

/** Registers the app with issuer, redirect URI and post-logout URI alone, and starts it with what it was given. */
async function started(t, broker, app) {
  const ports = [await freePort(), await freePort(), await freePort()]
  const origin = `http://127.0.0.1:${ports[0]}`
  const client = await broker.addClient('--name', app.name, '--first-party', '--redirect-uri', origin + app.path,
    '--post-logout-redirect-uri', origin + (app.home ?? '/'), ...app.flags?.(origin) ?? [])
  const env = {
    ISSUER: broker.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret, DIR: await scratch(t),
    PORT: String(ports[0]), PORT2: String(ports[1]), PORT3: String(ports[2]),
  }
  const { output } = supervise(t, await launch(app, env))
  await until(async () => (await fetch(origin + (app.ready ?? '/'), { redirect: 'manual' })).status < 400, { seconds: 60, about: app.name })
    .catch((error) => { throw new Error(output().slice(-3000), { cause: error }) })
  return { origin, output, json: async (page, where) => JSON.parse(await (await page.request.get(origin + where)).text()) }
}

describe('apps with their defaults', () => {
  let broker, account
  const ends = life()
  before(async () => {
    broker = await deployment(ends, 'SQLite')
    account = await broker.run(['accounts', 'add', owner.email, '--name', 'Nora Lind', '--password-file', '-', '--json'], owner.password)
    await broker.serve()
  })

  for (const app of apps) {
    test(`${app.name} signs a person in`, async (t) => {
      const at = await started(t, broker, app)
      const { page } = await person(t)
      try {
        await page.goto(at.origin + app.in)
        if (app.press) await button(page, app.press).click()
        await signIn(page, owner)
        if (app.signedIn) await page.waitForURL(app.signedIn)
        else await page.waitForURL((url) => url.origin === at.origin && !url.searchParams.has('code'))
        if (app.me) {
          const me = await at.json(page, app.me)
          for (const name of app.only ?? ['sub', 'email', 'name']) assert.equal(me?.[name], { sub: account.id, email: owner.email, name: account.name }[name], name)
        }
        if (app.userinfo) assert.match(JSON.stringify(await at.json(page, app.userinfo)), new RegExp(owner.email))
        if (app.refresh) {
          const { refreshed } = app.refresh.call ? await app.refresh({ ...at }, page) : await at.json(page, app.refresh)
          assert.equal(refreshed, true, 'a refresh brought no new access token')
        }
        if (app.out) {
          await page.goto(at.origin + app.out(at.origin))
          await page.waitForURL((url) => url.origin === at.origin)
          await page.goto(at.origin + app.in + '?again') // not from the browser's cache; the session is over, so the person is asked
          if (app.press) await button(page, app.press).click()
          await expectHeading(page, /Sign in|Choose/)
        }
        console.log(`signed in: ${await app.version()}`)
      } catch (error) {
        const text = await h1(page).textContent({ timeout: 500 }).catch(() => '')
        throw new Error(`${error.message}\nat ${page.url()}: ${text}\n${at.output().slice(-3000)}`, { cause: error })
      }
    })
  }

  test('oidc-client-ts signs a person in, by redirect and in a popup', async (t) => {
    const at = await started(t, broker, spa)
    const { page, log } = await person(t)
    const manager = (call) => page.evaluate(`manager.${call}`)
    const leave = (call) => page.evaluate(`void manager.${call}`) // the page goes away before the call returns
    await page.goto(at.origin)
    await expectHeading(page, 'Welcome')
    await leave('signinRedirect()')
    await signIn(page, owner)
    await expectHeading(page, 'Signed in')
    const user = await manager('getUser()')
    assert.deepEqual([user.profile.sub, user.profile.email, user.profile.name], [account.id, owner.email, account.name])
    const next = await manager('signinSilent()')
    assert.notEqual(next.access_token, user.access_token)
    assert.equal(next.profile.sub, account.id)
    const info = await page.evaluate(async ([issuer, token]) => (await fetch(issuer + '/userinfo', { headers: { authorization: `Bearer ${token}` } })).json(),
      [broker.issuer, next.access_token])
    assert.equal(info.email, owner.email)
    await leave('signoutRedirect()')
    await page.waitForURL(at.origin + '/**')
    await expectHeading(page, 'Welcome')

    const opening = page.context().waitForEvent('page')
    await page.evaluate(() => { globalThis.popup = globalThis.manager.signinPopup() })
    await signIn(await opening, owner)
    assert.equal(await page.evaluate(async () => (await globalThis.popup).profile.email), owner.email)
    assert.deepEqual(log.complaints, [])
    console.log(`signed in: ${await spa.version()}`)
  })

  for (const flow of ['loopback', 'device']) {
    test(`a command-line tool on go-oidc and x/oauth2 signs a person in, by ${flow}`, async (t) => {
      const grants = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'].flatMap((g) => ['--grant', g])
      const client = await broker.addClient('--name', 'Tool', '--first-party', '--native', '--auth-method', 'none', '--redirect-uri', 'http://127.0.0.1', ...grants)
      const child = await launch(tool, { ISSUER: broker.issuer, CLIENT_ID: client.client_id, FLOW: flow, DIR: await scratch(t) })
      t.after(() => child.kill())
      let output = ''
      let complaint = ''
      child.stdout.on('data', (d) => { output += d })
      child.stderr.on('data', (d) => { complaint += d })
      const line = (n) => until(() => output.split('\n').slice(0, -1)[n], { about: `line ${n} of the tool` })
        .catch((error) => { throw new Error(complaint, { cause: error }) })
      const { page } = await person(t)
      await page.goto(JSON.parse(await line(0)).open)
      if (flow === 'device') await button(page, 'Continue').click()
      await signIn(page, owner)
      if (flow === 'device') await button(page, 'Allow device').click()
      for (const n of [1, 2]) {
        const claims = JSON.parse(await line(n))
        assert.deepEqual([claims.sub, claims.email], [account.id, owner.email], n === 1 ? 'the code' : 'the refresh')
      }
      console.log(`signed in: ${await tool.version()} (${flow})`)
    })
  }
})
