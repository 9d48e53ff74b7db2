// Debian's LemonLDAP::NG as upstream, as its documentation configures it: it signs by RS256, and says nothing of email_verified.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { debian } from './apps.mjs'
import { deployment } from './deployment.mjs'
import { app, person, redirectAt, request } from './harness.mjs'
import { people, startLemonldap } from './lemonldap.mjs'
import { arrive, passwordField, providerButton } from './steps.mjs'

const password = 'the password of rose'

test('LemonLDAP::NG signs a person in, after the owner has linked it once', async (t) => {
  const broker = await deployment(t, 'SQLite')
  const upstream = await startLemonldap(t, { redirectURI: broker.callback('lemon') })
  await broker.connect('lemon', 'Lemon', upstream)
  const account = await broker.addAccount(people.rtyler, password)
  const back = await app(t)
  const client = await broker.addClient('--name', 'Walk', '--first-party', '--native', '--auth-method', 'none', '--redirect-uri', 'http://127.0.0.1/callback')
  await broker.serve()
  const { url } = request({ issuer: broker.issuer }, client, redirectAt(client, back.origin))

  const there = async (page) => {
    await page.goto(url)
    await providerButton(page, 'Lemon').click()
    await page.locator('input[name=user]').fill('rtyler')
    await page.locator('input[name=password]').fill('rtyler')
    await page.locator('form button[type=submit]').first().click()
  }
  const first = await person(t)
  await there(first.page)
  await first.page.locator('button[value=own]').click() // its address is only asserted, so we ask whose account it is
  await first.page.locator('input[name=email]').fill(people.rtyler)
  await passwordField(first.page).fill(password)
  await first.page.locator('form[action$="/own"] button[type=submit]').click()
  assert.ok((await arrive(first.page, back, 1)).code)
  assert.equal((await broker.run(['accounts', 'show', account.id, '--json'])).identities[0].subject, 'rtyler')

  const second = await person(t)
  await there(second.page)
  assert.ok((await arrive(second.page, back, 2)).code)
  console.log(`signed in: ${await debian('liblemonldap-ng-portal-perl')} (upstream)`)
})
