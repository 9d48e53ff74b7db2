// No page reveals who has an account: strangers get the same bytes for every address.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { readAnswers } from './look.mjs'
import { person } from './stub.mjs'
import { enter, identify, input, life, submit, to, wish, setUp, wrong } from './setup.mjs'

describe('ac_08 nothing tells whether an address has an account', () => {
  let w
  const ends = life()
  const sorts = { 'nobody': 'nobody@example.test', 'a password': 'passwd@example.test', 'no password': 'linked@example.test', 'one that is off': 'turned@example.test', 'one with a lock': 'locked@example.test' }
  before(async () => {
    w = await setUp(ends)
    const { 'a password': has, 'no password': none, 'one that is off': off, 'one with a lock': locked } = sorts
    for (const email of [has, off, locked]) await w.account(undefined, email)
    await w.account(null, none)
    await w.account(undefined, 'x' + has) // nobody is mailed two codes within half a minute
    await w.account(null, 'x' + none)
    await w.broker.run(['accounts', 'disable', off])
    await w.broker.run(['accounts', 'restrict', locked, '--only', 'club'])
  })

  const known = (page, selector) => page.locator(selector).first().waitFor()
  let subjects = 0
  const asserts = async (page, email) => { // an upstream that has checked nothing
    w.stub.next = { claims: { ...person(`same-${++subjects}`, email), email_verified: false } }
    await to(page, 'club').click()
    await known(page, 'button[value=own]')
  }

  /** The browser's responses, without the parts that differ by design. */
  const bare = (answers, email) => answers.map(({ url, status, headers: { date, 'x-request-id': id, ...headers }, body }) => {
    const same = (text) => text.replaceAll(/\/login\/[A-Z2-7]{26}/g, '/login/ID').replaceAll(/name="(confirmation|form_token)" value="[^"]*"/g, '').replaceAll(email, 'EMAIL').replaceAll(encodeURIComponent(email), 'EMAIL')
    return { url: same(url), status, headers, body: same(body) }
  })

  for (const [what, pages, walk] of [
    ['the identifier step and a wrong password', 3, async (page, email) => {
      await identify(page, email)
      await enter(page, 'password', wrong)
      await known(page, '[role=alert]')
    }],
    ['the steps of a registration', 4, async (page, email) => {
      await wish(page, 'new')
      await known(page, 'button[value=back]')
      await identify(page, email)
      await input(page, 'code').fill('000000')
      await submit(page, 'code')
      await known(page, '[role=alert]')
      await w.mail(email)
      assert.equal((await w.mails(email)).length, 1)
    }],
    ['an address that an upstream only asserts, and the code to it', 4, async (page, email) => {
      await asserts(page, 'x' + email)
      await wish(page, 'new')
      await known(page, 'input[name=code]')
      await input(page, 'code').fill('000000')
      await submit(page, 'code')
      await known(page, '[role=alert]')
    }],
    ['a wrong password for the account that somebody says is theirs', 4, async (page, email) => {
      await asserts(page, 'somebody@elsewhere.test')
      await wish(page, 'own')
      await input(page, 'email').fill(email)
      await enter(page, 'own', wrong)
      await known(page, '[role=alert]')
    }],
  ]) {
    test(`ac_08 ${what}: the same bytes for every sort of address`, async (t) => {
      let first
      for (const [sort, email] of Object.entries(sorts).slice(0, pages === 3 ? 5 : 3)) { // what is off or locked shows behind a password, if anywhere
        const { page, context } = await w.visitor(t)
        const read = readAnswers(context, w.issuer)
        await page.reload() // the first page is looked at, too
        await walk(page, email)
        const answers = bare(await read(), email)
        assert.ok(answers.length >= pages, `${answers.length} answers`)
        first ??= answers
        assert.deepEqual(answers, first, sort)
        await context.close()
      }
    })
  }
})
