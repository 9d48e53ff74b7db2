// The account page: owners link and unlink their sign-in methods; the last one stays.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { person, startDemo, until } from './harness.mjs'
import { look } from './look.mjs'
import { become, button, expectHeading, field, signIn, signInWith } from './steps.mjs'

const link = (page, name) => page.getByRole('link', { name, exact: true })

/** Requires that the pages are accessible, fit, and are within their budget. */
function clean(found) {
  for (const what of ['violations', 'incomplete', 'overflow', 'small']) assert.deepEqual(found.flatMap((f) => f[what]), [], what)
  for (const { name, cold } of found.filter((f) => f.cold)) assert.ok(cold.total <= 20_000 && cold.css <= 6_000, `${name}: ${JSON.stringify(cold)}`)
}

for (const js of [true, false]) {
  test(`ac_46 a linked provider can be unlinked, and then links again by E-4, ${js ? 'with' : 'without'} scripts`, async (t) => {
    const demo = await startDemo(t)
    const google = demo.connection('google')
    const { page, log } = await person(t, { js })
    await page.goto(demo.issuer + '/login')
    await signIn(page, demo.account)
    await expectHeading(page, 'Your account')

    await button(page, 'Link Google').click()
    await become(page, demo.persona('google', 'ana'))
    await expectHeading(page, 'Your account')
    assert.match(await page.getByRole('status').innerText(), /Google is linked/)
    assert.equal(new URL(page.url()).pathname, '/account/methods')
    assert.equal(await button(page, 'Link Google').count(), 0)

    await link(page, 'Unlink Google').click()
    await expectHeading(page, 'Unlink Google?')
    await link(page, 'Keep it').click()
    await link(page, 'Unlink Google').click()
    await button(page, 'Unlink Google').click()
    await expectHeading(page, 'Your account')
    assert.match(await page.getByRole('status').innerText(), /Google is no longer linked/)
    await until(async () => (await demo.mails(demo.account.email)).length === 2, { about: 'the mails that tell of link and unlink' })

    const next = await person(t, { js })
    await next.page.goto(demo.issuer + '/login')
    await signInWith(next.page, google, demo.persona('google', 'ana'))
    await expectHeading(next.page, 'Link Google to your account?')
    assert.deepEqual([...log.complaints, ...next.log.complaints], [])
  })
}

test('ac_46 nobody unlinks the last way in, and who signed in with what they unlink is signed out', async (t) => {
  const demo = await startDemo(t)
  const { page } = await person(t)
  const noor = demo.persona('google', 'new.person')
  await page.goto(demo.issuer + '/login')
  await signInWith(page, demo.connection('google'), noor)
  await button(page, 'Create account').click()
  await expectHeading(page, 'Your account')
  assert.match(await page.locator('main').innerText(), /Add another way to sign in first\./)
  assert.equal(await link(page, 'Unlink Google').count(), 0)

  await button(page, 'Link Harbour Club').click()
  await expectHeading(page, 'Sign in')
  assert.match(await page.locator('main').innerText(), /You’re about to change how you sign in/)
  assert.deepEqual(await page.getByRole('link', { name: /^Continue with/ }).allInnerTexts().then((all) => all.map((s) => s.split('\n')[0].trim())), ['Continue with Google'])
  assert.equal(await page.getByRole('textbox').count(), 0) // there is no password
  const found = [await look(page, 'prove')]
  await signInWith(page, demo.connection('google'), noor)
  await expectHeading(page, 'Confirm it’s you') // Google tells no auth_time
  await button(page, 'Email me a code').click()
  await field(page, 'Code').fill(await demo.mailedCode(noor.email))
  await button(page, 'Continue').click()
  await expectHeading(page, 'Your account')
  await button(page, 'Link Harbour Club').click()
  await become(page, demo.persona('oidc', 'vera'))
  await expectHeading(page, 'Your account')

  await link(page, 'Unlink Google').click()
  assert.match(await page.locator('main').innerText(), /you’ll be signed out here/)
  await button(page, 'Unlink Google').click()
  await expectHeading(page, 'You’re signed out')
  found.push(await look(page, 'unlinked-here'))
  await link(page, 'Sign in').click()
  await signInWith(page, demo.connection('oidc'), demo.persona('oidc', 'vera'))
  await expectHeading(page, 'Your account')
  assert.match(await page.locator('main').innerText(), new RegExp(noor.email))
  assert.equal(await link(page, /^Unlink/).count(), 0)
  clean(found)
})

test('ac_46 a link that was cancelled, or belongs to somebody else, leads back to the account', async (t) => {
  const demo = await startDemo(t)
  const other = await person(t) // ben's account takes Google's Wim
  await other.page.goto(demo.issuer + '/login')
  await signIn(other.page, demo.accounts[1])
  await button(other.page, 'Link Google').click()
  await become(other.page, demo.persona('google', 'wim'))
  await expectHeading(other.page, 'Your account')

  const { page } = await person(t)
  await page.goto(demo.issuer + '/login')
  await signIn(page, demo.account)
  await expectHeading(page, 'Your account')
  const found = [await look(page, 'methods')]
  await button(page, 'Link Google').click()
  await expectHeading(page, /\(simulated\)$/)
  await page.getByRole('link', { name: 'Cancel' }).click()
  await expectHeading(page, 'Link Google')
  assert.match(await page.getByRole('status').innerText(), /Sign-in cancelled/)
  found.push(await look(page, 'link-cancelled'))
  await link(page, 'Continue with Google').click()
  await become(page, demo.persona('google', 'wim'))
  await expectHeading(page, 'That Google account is already linked')
  found.push(await look(page, 'link-conflict', { cold: false }))
  await link(page, 'Back to your account').click()
  await expectHeading(page, 'Your account')
  await button(page, 'Link Google').click()
  await become(page, demo.persona('google', 'ana'))
  await expectHeading(page, 'Your account')
  found.push(await look(page, 'methods-linked'))
  await link(page, 'Unlink Google').click()
  await expectHeading(page, 'Unlink Google?')
  found.push(await look(page, 'unlink'))

  await link(page, 'Keep it').click()

  await button(page, 'Link Microsoft').click()
  await become(page, demo.persona('microsoft', 'bruno'))
  await expectHeading(page, 'Your account')
  await demo.run(['accounts', 'restrict', demo.account.email, '--only', 'microsoft'])
  await until(async () => { // every replica knows within 5 s
    await page.goto(demo.issuer + '/account')
    return (await page.locator('h1').textContent()) === 'Sign in'
  })
  await page.goto(demo.issuer + '/login')
  await signInWith(page, demo.connection('microsoft'), demo.persona('microsoft', 'bruno'))
  await expectHeading(page, 'Your account')
  const says = await page.locator('main').innerText()
  assert.match(says, /Your administrator requires Microsoft for this account\./)
  assert.match(says, /Required by your administrator\./)
  assert.equal(await page.getByRole('button', { name: /^Link / }).count(), 0)
  found.push(await look(page, 'methods-locked'))
  clean(found)
})
