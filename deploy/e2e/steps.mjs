// Steps of people on the pages, by the words of the pages.
import assert from 'node:assert/strict'
import { until } from './harness.mjs'

export const h1 = (page) => page.locator('h1')
export const button = (page, name) => page.getByRole('button', { name, exact: true })
export const field = (page, label) => page.getByRole('textbox', { name: label, exact: true })
export const passwordField = (page) => page.locator('input[type=password]')

/** Waits for the page with this heading, and fails with what the page shows instead. */
export async function expectHeading(page, heading) {
  const fits = (text) => heading instanceof RegExp ? heading.test(text) : text === heading
  try {
    await until(async () => fits((await h1(page).textContent({ timeout: 1000 })).trim()), { seconds: 20 })
  } catch {
    const text = await page.locator('body').innerText({ timeout: 1000 }).catch(() => '')
    assert.fail(`want the heading ${heading} at ${page.url()}, the page says:\n${text.slice(0, 600)}`)
  }
}

export async function identify(page, email) {
  await expectHeading(page, 'Sign in')
  await field(page, 'Email address').fill(email)
  await button(page, 'Continue').click()
}

export async function typePassword(page, password) {
  await passwordField(page).fill(password)
  await button(page, 'Sign in').click()
}

export async function signIn(page, { email, password }) {
  await identify(page, email)
  await passwordField(page).waitFor()
  await typePassword(page, password)
}

export const providerButton = (page, name) => page.getByRole('link', { name: new RegExp(`^Continue with ${name}\\b`) })

/** Presses a provider's button and chooses a persona there. */
export async function signInWith(page, connection, persona) {
  await expectHeading(page, 'Sign in')
  await providerButton(page, connection.name).click()
  await become(page, persona)
}

/** Chooses a persona at a simulated provider. Without scripts its form_post needs a click. */
export async function become(page, persona) {
  await expectHeading(page, /\(simulated\)$/)
  await page.getByRole('link').filter({ hasText: persona.note }).click()
  await continueAtProvider(page)
}

async function continueAtProvider(page) {
  if (/\(simulated\)/.test(await h1(page).textContent().catch(() => ''))) {
    const go = page.getByRole('button', { name: 'Continue' })
    if (await go.count()) await go.click({ timeout: 2000 }).catch(() => {}) // its script may have been quicker
  }
}

/** Waits until an app has its nth response; consents on the way if asked to. */
export async function arrive(page, app, n = 1) {
  await until(async () => {
    if (app.answers().length >= n) return true
    const allow = button(page, 'Allow')
    if (await allow.isVisible().catch(() => false)) await allow.click({ timeout: 2000 }).catch(() => {})
    return false
  }, { seconds: 20, about: 'the app' }).catch(async (error) => {
    const text = await page.locator('body').innerText({ timeout: 1000 }).catch(() => '')
    throw new Error(`the app was not reached; at ${page.url()} the page says:\n${text.slice(0, 600)}`, { cause: error })
  })
  const answer = app.answers()[n - 1].query
  await page.waitForURL((url) => url.origin !== answer.iss) // the browser is there, too, and free to go elsewhere
  return answer
}
