// The samples of the README: followed to the letter, from an empty folder.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort, person } from './harness.mjs'
import { owner, provider } from './provider.mjs'
import { button, expectHeading, identify, passwordField, typePassword } from './steps.mjs'

const top = fileURLToPath(new URL('../..', import.meta.url))
const readme = await readFile(path.join(top, 'README.md'), 'utf8')

/** A section's sample, the name of its file, and the commands that run it. */
function sample(section) {
  const text = readme.split(`\n### ${section}\n`)[1].split('\n### ')[0]
  const [, file] = /Save this as `([^`]+)`/.exec(text)
  const [code, commands] = [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((b) => b[2])
  return { file, code, commands }
}

async function run(t, section, env) {
  const dir = await mkdtemp(path.join(tmpdir(), 'gatehouse-sample-'))
  const { file, code, commands } = sample(section)
  await writeFile(path.join(dir, file), code)
  // What check.sh has fetched is used again.
  const cached = { npm_config_prefer_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false', npm_config_ignore_scripts: 'true' }
  const child = spawn('bash', ['-e', '-c', commands], { cwd: dir, detached: true, env: { ...process.env, ...cached, ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => { output += d })
  const ended = new Promise((resolve) => { child.on('close', resolve) })
  t.after(async () => {
    try { process.kill(-child.pid) } catch { /* it has ended */ }
    await ended
    await rm(dir, { recursive: true, force: true })
  })
  await new Promise((resolve, reject) => {
    const look = () => { if (output.includes('Listening on ' + env.APP)) resolve() }
    for (const stream of [child.stdout, child.stderr]) stream.on('data', look)
    ended.then(() => reject(new Error(`the ${section} sample ended:\n${output}`)))
  })
}

test('the samples of the README use the versions that are tested here', async () => {
  const modules = await readFile(path.join(top, 'go.mod'), 'utf8')
  for (const [, name, version] of sample('Go').commands.matchAll(/(\S+?)(?:\/oidc)?@(v\S+)/g)) assert.ok(modules.includes(`${name} ${version}`), `${name}@${version}`)
  const { devDependencies } = JSON.parse(await readFile(new URL('package.json', import.meta.url)))
  assert.match(sample('Node').commands, new RegExp(`openid-client@${devDependencies['openid-client']}$`, 'm'))
})

for (const section of ['Go', 'Node']) {
  test(`the ${section} sample signs a person in in two tabs, survives a reload, and says when it may not`, async (t) => {
    const { broker, account } = await provider(t)
    const APP = `http://127.0.0.1:${await freePort()}`
    const client = await broker.addClient('--name', 'Sample', '--first-party', '--redirect-uri', APP + '/callback')
    await run(t, section, { ISSUER: broker.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret, APP })
    const greeting = `Hello ${owner.email}, I know you as ${account.id}`
    const body = (page) => page.locator('body').innerText().then((text) => text.trim())

    const { page, context } = await person(t)
    const other = await context.newPage()
    for (const tab of [page, other]) { // both begin before one ends
      await tab.goto(APP)
      await identify(tab, owner.email)
      await passwordField(tab).waitFor()
    }
    let answer
    page.on('request', (r) => { if (r.url().startsWith(APP + '/callback')) answer = r.url() })
    for (const tab of [page, other]) {
      await typePassword(tab, owner.password)
      await tab.waitForURL(APP + '/')
      assert.equal(await body(tab), greeting)
    }
    await page.reload()
    assert.equal(await body(page), greeting)
    assert.equal(page.url(), APP + '/', 'the code stays in the address')

    await page.goto(answer) // used
    assert.match(await body(page), /^You are not signed in: this browser did not start this sign-in, or it is over/)
    const stranger = await person(t)
    await stranger.page.goto(answer)
    assert.match(await body(stranger.page), /^You are not signed in: this browser did not start this sign-in/)

    await broker.run(['clients', 'disable', client.client_id])
    const late = await person(t)
    await late.page.goto(APP)
    assert.equal(new URL(late.page.url()).origin, broker.issuer)
  })

  test(`the ${section} sample says that the person cancelled, or what the token endpoint said first`, async (t) => {
    const { broker } = await provider(t)
    const APP = `http://127.0.0.1:${await freePort()}`
    const client = await broker.addClient('--name', 'Sample', '--redirect-uri', APP + '/callback')
    await run(t, section, { ISSUER: broker.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: 'not-the-secret', APP })
    const { page } = await person(t)
    await page.goto(APP)
    await identify(page, owner.email)
    await passwordField(page).waitFor()
    await typePassword(page, owner.password)
    await expectHeading(page, /Sample/)
    await button(page, 'Cancel').click()
    await page.waitForURL(APP + '/callback*')
    assert.match(await page.locator('body').innerText(), /^You are not signed in: access_denied/)
    await page.goto(APP)
    await expectHeading(page, /Sample/)
    await button(page, 'Allow').click()
    await page.waitForURL(APP + '/callback*')
    assert.match(await page.locator('body').innerText(), /^You are not signed in: .*(invalid_client|WWW-Authenticate)/s)
  })
}
