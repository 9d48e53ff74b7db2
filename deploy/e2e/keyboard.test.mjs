// Whole journeys with the keyboard alone, with a visible focus ring on every control.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { focused, measureRing } from './inspect.mjs'
import { exhaust } from './states.mjs'
import { expectHeading } from './steps.mjs'
import { person } from './stub.mjs'
import { life, password, setUp, wrong } from './setup.mjs'

describe('ac_38 by keyboard alone', () => {
  let w
  const ends = life()
  before(async () => { w = await setUp(ends) })

  /** The keys that a person presses on a page. */
  function hands(page) {
    const focus = () => page.evaluate(() => {
      const e = document.activeElement
      return { name: (e.labels?.[0] ?? e).textContent.trim().replace(/\s+/g, ' '), id: e.id, invalid: e.getAttribute('aria-invalid') === 'true' }
    })
    const type = (text) => page.keyboard.type(text)
    return {
      focus, type, enter: () => page.keyboard.press('Enter'),
      /** Tabs to the stop with this name, and looks at the ring on the way. */
      async tab(name) {
        const passed = []
        while (passed.length < 40) {
          await page.keyboard.press('Tab')
          await page.evaluate(measureRing)
          const { name: here } = await focus()
          assert.deepEqual(await page.evaluate(() => document.activeElement === document.body ? [] : globalThis.ring(document.activeElement)), [])
          if (here === name || here.startsWith(name + ' ')) return
          passed.push(here)
        }
        assert.fail(`no “${name}” among ${passed.join(', ')}`)
      },
      /** What a page that just came has in focus, before any key. */
      async ready(label) {
        await focused(page)
        assert.equal((await focus()).name, label)
      },
      /** A page that says what was wrong: its title, and the first wrong field in focus. */
      async corrected(title, label) {
        await page.locator('[role=alert]').waitFor()
        assert.equal(await page.title(), `Error: ${title} – Gatehouse`)
        await focused(page)
        const { name, invalid } = await focus()
        assert.deepEqual({ name, invalid }, { name: label, invalid: true })
      },
    }
  }

  for (const js of [true, false]) {
    const how = js ? 'with scripts' : 'without scripts'

    test(`ac_38 a password login and the consent, ${how}`, async (t) => {
      const owner = await w.account()
      const { page, ask } = await w.visitor(t, { js, client: w.theirs })
      const { tab, type, enter, ready, corrected } = hands(page)
      await tab('Email address')
      await type('nobody at all')
      await enter()
      await corrected('Sign in', 'Email address')
      await page.keyboard.press('Control+A')
      await type(owner.email)
      await enter()
      await expectHeading(page, 'Enter your password')
      await ready('Password')
      await type(wrong)
      await enter()
      await corrected('Enter your password', 'Password')
      await type(owner.password)
      if (js) { // the button beside it shows what was typed, by Space
        await tab('Show')
        await page.keyboard.press('Space')
        assert.equal(await page.locator('#password').inputValue(), owner.password)
        assert.equal(await page.locator('#password').getAttribute('type'), 'text')
      }
      await tab('Sign in')
      await page.keyboard.press('Space')
      await expectHeading(page, 'Scores wants to use your Gatehouse account')
      await tab('Allow')
      await enter()
      await page.waitForURL((url) => url.origin === w.back.origin)
      assert.equal(w.back.answers().at(-1).query.state, ask.state)
    })
  }

  test('ac_38 a link is confirmed', async (t) => {
    const owner = await w.account()
    const { page, ask } = await w.visitor(t)
    const { tab, type, enter, ready, corrected } = hands(page)
    w.stub.next = { claims: person('keys-1', owner.email) }
    await tab('Continue with Club')
    await enter()
    await expectHeading(page, 'Link Club to your account?')
    await ready('Your Gatehouse password')
    await type(wrong)
    await enter()
    await corrected('Link Club to your account?', 'Your Gatehouse password')
    await type(owner.password)
    await tab('Link and sign in')
    await enter()
    await page.waitForURL((url) => url.origin === w.back.origin)
    assert.equal(w.back.answers().at(-1).query.state, ask.state)
  })

  test('ac_38 somebody who is new registers, by a provider and by a password', async (t) => {
    const { page } = await w.visitor(t)
    const { tab, type, enter, ready, corrected } = hands(page)
    w.stub.next = { claims: person('keys-2') }
    await tab('Continue with Club')
    await enter()
    await expectHeading(page, 'What’s your email address?')
    await ready('Email address')
    const email = w.stranger()
    await enter()
    await corrected('What’s your email address?', 'Email address')
    await type(email)
    await enter()
    await expectHeading(page, 'Check your email')
    await ready('Code')
    await type('000000')
    await enter()
    await corrected('Check your email', 'Code')
    await type(await w.code(email))
    await enter()
    await expectHeading(page, 'Create your account')
    await ready('First name')
    await page.keyboard.press('Control+A')
    await page.keyboard.press('Delete')
    await enter()
    await corrected('Create your account', 'First name')
    await type('Noor')
    await tab('Create account')
    await enter()
    await page.waitForURL((url) => url.origin === w.back.origin)

    const other = await w.visitor(t)
    const here = hands(other.page)
    const second = w.stranger()
    await here.tab('New here? Create an account')
    await here.enter()
    await expectHeading(other.page, 'Create an account')
    await here.ready('Email address')
    await here.type(second)
    await here.enter()
    await expectHeading(other.page, 'Check your email')
    await here.type(await w.code(second))
    await here.enter()
    await expectHeading(other.page, 'Create your account')
    await here.ready('First name')
    await here.type('Noor')
    await here.tab('Password')
    await here.type('short')
    await here.enter()
    await here.corrected('Create your account', 'Password')
    await here.type(password + ' and at night')
    await here.enter()
    await other.page.waitForURL((url) => url.origin === w.back.origin)
    assert.equal(w.back.answers().at(-1).query.state, other.ask.state)
  })

  test('ac_38 ac_39 too many tries leave the focus on the summary, and copied details are announced', async (t) => {
    const { page, context } = await w.visitor(t)
    const { tab, type, enter, focus } = hands(page)
    await tab('Email address')
    await type(w.stranger())
    await enter()
    await expectHeading(page, 'Enter your password')
    await exhaust(w, page)
    await type(wrong)
    await enter()
    await page.locator('[role=alert]').waitFor()
    await focused(page)
    assert.match((await focus()).name, /Too many attempts/)
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'alert')

    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: w.issuer })
    await page.goto(w.issuer + '/login/AAAAAAAAAAAAAAAAAAAAAAAAAA')
    await tab('Details')
    await enter()
    await tab('Copy details')
    await enter()
    const status = page.getByRole('status')
    await status.filter({ hasText: 'Copied' }).waitFor({ state: 'attached' })
    assert.match(await page.locator('main').ariaSnapshot(), /- status: Copied/)
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /Code: flow_unknown\nReference: [0-9A-Z]{4}-[0-9A-Z]{4}/)
  })
})
