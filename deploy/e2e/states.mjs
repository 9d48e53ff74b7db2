// Every state of every page, and the steps to it in any language: nothing here is found by its words.
import { person } from './stub.mjs'
import { until } from './harness.mjs'
import { enter, formOf, identify, input, submit, to, wish, wrong } from './setup.mjs'

let subjects = 0
const subject = () => `s${++subjects}`

/** Has the upstream verify an address, or only assert it, and presses its button. */
async function comesFrom(w, page, email, { verified = true, connection = 'club', ...more } = {}) {
  w.stub.next = { claims: { ...person(subject(), email), ...(email && { email_verified: verified }), ...more } }
  await to(page, connection).click()
}

/** Signs an owner in, as far as the app. */
async function signedIn(w, visit, owner) {
  owner ??= w.regular ??= await w.account()
  const who = await visit()
  await identify(who.page, owner.email)
  await enter(who.page, 'password', owner.password)
  await atApp(w, who.page)
  return { owner, ...who }
}

const atApp = (w, page) => page.waitForURL((url) => url.origin === w.back.origin)

/** Waits for the page of a step, by one of its forms or the like. */
const at = (page, selector) => page.locator(selector).first().waitFor()

/**
 * The states. go reaches one by visit, which opens a browser at the start of a login of the app and returns
 * { page, … }; go returns the page. wrong: it shows a failed form. status: it announces something.
 */
export const states = [
  { name: 'front', async go(w, visit) {
    const { page } = await visit()
    await page.goto(w.issuer + '/')
    return page
  } },
  { name: 'choose', async go(w, visit) { return (await visit()).page } },
  { name: 'choose, no address', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await identify(page, 'nobody at all')
    return page
  } },
  { name: 'choose, cancelled at the upstream', status: true, async go(w, visit) {
    const { page } = await visit()
    w.stub.next = { error: 'access_denied' }
    await to(page, 'club').click()
    await at(page, 'main .note')
    return page
  } },
  { name: 'pick', async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.ask({ prompt: 'select_account' }).url)
    await at(page, 'form[action$="/continue"]')
    return page
  } },
  { name: 'org', async go(w, visit) {
    const { page } = await visit()
    await identify(page, 'olga@office.test')
    await at(page, 'a[href*="/to/office"]')
    return page
  } },
  { name: 'password', async go(w, visit) {
    const { page } = await visit()
    await identify(page, w.stranger())
    await at(page, 'input[name=password]')
    return page
  } },
  { name: 'password, wrong', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await identify(page, w.stranger())
    await enter(page, 'password', wrong)
    return page
  } },
  { name: 'password, too many tries', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await identify(page, w.stranger())
    await at(page, 'input[name=password]')
    await exhaust(w, page)
    await enter(page, 'password', wrong)
    return page
  } },
  { name: 'link by password', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, (await w.account()).email)
    await at(page, 'form[action$="/link"]')
    return page
  } },
  { name: 'link by password, wrong', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, (await w.account()).email)
    await enter(page, 'link', wrong)
    return page
  } },
  { name: 'link by a code', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, (await w.account(null)).email)
    await at(page, 'form[action$="/resend"]')
    return page
  } },
  { name: 'link by a code, wrong', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, (await w.account(null)).email)
    await submit(page, 'resend')
    await input(page, 'code').fill('000000')
    await submit(page, 'link')
    return page
  } },
  { name: 'link by another provider', async go(w, visit) {
    const { page } = await visit()
    const owner = await w.account(null)
    await linkByCode(w, visit, owner)
    await comesFrom(w, page, owner.email, { connection: 'annex' })
    await at(page, 'a[href*="prove=1"]')
    return page
  } },
  { name: 'link by password and code', async go(w, visit) {
    const { page } = await visit()
    const owner = await w.account()
    await w.broker.run(['accounts', 'restrict', owner.email, '--only', 'club'])
    await comesFrom(w, page, owner.email)
    await submit(page, 'resend')
    await at(page, 'input[name=code]')
    return page
  } },
  { name: 'neutral', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, w.stranger(), { verified: false })
    await at(page, 'button[value=own]')
    return page
  } },
  { name: 'own', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, w.stranger(), { verified: false })
    await wish(page, 'own')
    await at(page, 'form[action$="/own"]')
    return page
  } },
  { name: 'own, wrong', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, w.stranger(), { verified: false })
    await wish(page, 'own')
    await input(page, 'email').fill(w.stranger())
    await enter(page, 'own', wrong)
    return page
  } },
  { name: 'email', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page)
    await at(page, 'form[action$="/email"] input[autocomplete=username]')
    return page
  } },
  { name: 'email, none', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page)
    await at(page, 'form[action$="/email"] input[autocomplete=username]')
    await submit(page, 'email')
    return page
  } },
  { name: 'create', async go(w, visit) {
    const { page } = await visit()
    await wish(page, 'new')
    await at(page, 'button[value=back]')
    return page
  } },
  { name: 'code', async go(w, visit) { return newcomer(w, visit) } },
  { name: 'code, wrong', wrong: true, async go(w, visit) {
    const page = await newcomer(w, visit)
    await input(page, 'code').fill('000000')
    await submit(page, 'code')
    return page
  } },
  { name: 'code, asked for too soon', wrong: true, async go(w, visit) {
    const page = await newcomer(w, visit)
    await submit(page, 'resend')
    return page
  } },
  { name: 'register', async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, w.stranger())
    await at(page, 'form[action$="/register"]')
    return page
  } },
  { name: 'register, no name', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await comesFrom(w, page, w.stranger())
    await input(page, 'given_name').fill('')
    await submit(page, 'register')
    return page
  } },
  { name: 'register with a password', async go(w, visit) { return confirmed(w, visit) } },
  { name: 'register with a password, weak', wrong: true, async go(w, visit) {
    const page = await confirmed(w, visit)
    await input(page, 'given_name').fill('Ana')
    await enter(page, 'register', 'short')
    return page
  } },
  { name: 'confirm', async go(w, visit) {
    const page = await stale(w, visit)
    await at(page, 'form[action$="/confirm"]')
    return page
  } },
  { name: 'confirm, wrong', wrong: true, async go(w, visit) {
    const page = await stale(w, visit)
    await enter(page, 'confirm', wrong)
    return page
  } },
  { name: 'confirm by a code', async go(w, visit) { return (await noPassword(w, visit)).page } },
  { name: 'confirm by a code, sent', async go(w, visit) {
    const { page } = await noPassword(w, visit)
    await submit(page, 'resend')
    await at(page, 'input[name=code]')
    return page
  } },
  { name: 'consent', async go(w, visit) {
    const owner = w.regular ??= await w.account()
    const { page } = await visit({ client: w.theirs, extra: { scope: 'openid profile email offline_access' } })
    await identify(page, owner.email)
    await enter(page, 'password', owner.password)
    await at(page, 'button[name=decision]')
    return page
  } },
  { name: 'hand-off', async go(w, visit) {
    const { owner, page } = await handOff(w, visit)
    await enter(page, 'password', owner.password)
    await at(page, 'main a.primary')
    return page
  } },
  { name: 'sign-out', async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.issuer + '/end_session')
    return page
  } },
  { name: 'stayed', async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.issuer + '/end_session')
    await page.locator('button[value=stay]').click()
    await page.waitForURL(/stay=1/)
    return page
  } },
  { name: 'device', async go(w, visit) {
    const { page } = await visit()
    await page.goto(w.issuer + '/device')
    return page
  } },
  { name: 'device, a wrong code', wrong: true, async go(w, visit) {
    const { page } = await visit()
    await types(w, page, 'BBBB-BBBB')
    return page
  } },
  { name: 'device, the question', async go(w, visit) { return deviceQuestion(w, visit) } },
  { name: 'device, allowed', async go(w, visit) { return answersDevice(w, visit, 'allow') } },
  { name: 'device, denied', async go(w, visit) { return answersDevice(w, visit, 'deny') } },
  { name: 'signed out', async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.issuer + '/end_session')
    await page.locator('button[value=leave]').click()
    await at(page, 'main a[href="/login"]')
    return page
  } },
  { name: 'refusal', async go(w, visit) {
    const { page } = await visit()
    await page.goto(w.issuer + '/login/AAAAAAAAAAAAAAAAAAAAAAAAAA')
    await page.locator('details.details summary').click()
    return page
  } },
  { name: 'refusal of a login', async go(w, visit) {
    const owner = await w.account()
    const { page } = await visit()
    await w.broker.run(['accounts', 'disable', owner.email])
    await identify(page, owner.email)
    await enter(page, 'password', owner.password)
    await at(page, 'details.details')
    return page
  } },
  { name: 'account', async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.issuer + '/account')
    return page
  } },
  { name: 'account, linked', status: true, async go(w, visit) { return (await linked(w, visit)).page } },
  { name: 'depart', status: true, async go(w, visit) {
    const { page } = await signedIn(w, visit)
    await page.goto(w.issuer + '/account')
    w.stub.next = { error: 'access_denied' }
    await page.locator('button[value=annex]').click()
    await at(page, 'main .note')
    return page
  } },
  { name: 'unlink', async go(w, visit) {
    const { page } = await linked(w, visit)
    await page.locator('a[href$="/unlink"]').click()
    await at(page, 'form[action$="/unlink"]')
    return page
  } },
  { name: 'account, unlinked', status: true, async go(w, visit) {
    const { page } = await linked(w, visit)
    await page.locator('a[href$="/unlink"]').click()
    await submit(page, 'unlink')
    await at(page, 'main .note.ok')
    return page
  } },
  { name: 'data deletion', async go(w, visit) {
    const { page } = await visit()
    await page.goto(await w.deletion())
    return page
  } },
]

/** An owner without a password links Club by a mailed code; the subject is linked from then on. */
export async function linkByCode(w, visit, owner) {
  const { page } = await visit()
  await comesFrom(w, page, owner.email)
  const claims = w.stub.next.claims
  await submit(page, 'resend')
  await input(page, 'code').fill(await w.code(owner.email))
  await submit(page, 'link')
  await atApp(w, page)
  return { page, claims }
}

async function newcomer(w, visit, email = w.stranger()) {
  const { page } = await visit()
  await wish(page, 'new')
  await at(page, 'button[value=back]')
  await identify(page, email)
  await at(page, 'input[name=code]')
  return page
}

async function confirmed(w, visit) {
  const email = w.stranger()
  const page = await newcomer(w, visit, email)
  await input(page, 'code').fill(await w.code(email))
  await submit(page, 'code')
  await at(page, 'input[name=password]')
  return page
}

/** A person with a password comes from an upstream that proves no fresh sign-in. */
async function stale(w, visit) {
  const owner = await w.account()
  const { page } = await visit()
  await comesFrom(w, page, owner.email)
  const claims = w.stub.next.claims
  await enter(page, 'link', owner.password)
  await atApp(w, page)
  await page.goto(w.ask({ prompt: 'login' }).url)
  w.stub.next = { claims }
  await page.locator('main details summary').first().click() // the password page is preset with the person
  await to(page, 'club').click()
  await at(page, 'form[action$="/confirm"]')
  return page
}

/** The same for a person without a password who wants to change the sign-in methods. */
async function noPassword(w, visit) {
  const { page } = await visit()
  await comesFrom(w, page, w.stranger())
  const claims = w.stub.next.claims
  await submit(page, 'register')
  await atApp(w, page)
  await page.context().clearCookies({ name: /session/ })
  await page.goto(w.issuer + '/login')
  w.stub.next = { claims }
  await to(page, 'club').click()
  await at(page, 'button[value=annex]')
  await page.locator('button[value=annex]').click()
  await until(async () => (await formOf(page, 'resend').count()) + (await to(page, 'club').count()) > 0)
  if (await to(page, 'club').count()) await to(page, 'club').click()
  await at(page, 'form[action$="/resend"]')
  return { page }
}

/** A browser that stays on the hand-off page, because its target responds without content. */
async function handOff(w, visit) {
  const owner = w.regular ??= await w.account()
  const { page } = await visit()
  await page.route('**/authorize?login=*', (route) => route.fulfill({ status: 204 }))
  await identify(page, owner.email)
  await at(page, 'input[name=password]')
  return { owner, page }
}

async function linked(w, visit) {
  const who = await signedIn(w, visit, await w.account())
  await who.page.goto(w.issuer + '/account')
  w.stub.next = { claims: person(subject(), who.owner.email) }
  await who.page.locator('button[value=annex]').click()
  await at(who.page, 'main .note.ok')
  return who
}

/** Types a code at the page for devices. */
async function types(w, page, code) {
  await page.goto(w.issuer + '/device')
  await input(page, 'user_code').fill(code)
  await page.locator('main form button[type=submit]').click()
}

async function deviceQuestion(w, visit) {
  const { page } = await signedIn(w, visit)
  await types(w, page, await w.device())
  await at(page, 'button[value=deny]')
  return page
}

async function answersDevice(w, visit, decision) {
  const page = await deviceQuestion(w, visit)
  await page.locator(`button[value=${decision}]`).click()
  await until(async () => await page.locator('button[name=decision]').count() === 0)
  return page
}

/** Posts five wrong passwords without using the page. */
export async function exhaust(w, page) {
  const { url, form } = await page.evaluate(() => {
    const f = document.querySelector('input[name=password]').form
    return { url: f.action, form: Object.fromEntries(new FormData(f)) }
  })
  for (let n = 0; n < 5; n++) await page.context().request.post(url, { form: { ...form, password: wrong }, headers: { origin: w.issuer } })
}

/** Waits for the state that a failed form leads to. */
export async function reached(page, state) {
  await page.waitForLoadState()
  if (state.wrong) await at(page, '[role=alert]')
}
