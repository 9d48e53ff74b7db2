// The samples of the README, extracted and run unchanged.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freePort, person, until } from './harness.mjs'
import { owner, provider } from './provider.mjs'
import { signIn } from './steps.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const top = fileURLToPath(new URL('../..', import.meta.url))

/** The one block of the README in a language. */
async function sample(language) {
  const blocks = [...(await readFile(path.join(top, 'README.md'), 'utf8')).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((b) => b[1] === language)
  assert.equal(blocks.length, 1, `${blocks.length} samples in ${language}`)
  return blocks[0][2]
}

async function run(command, args, env) {
  const child = spawn(command, args, { cwd: top, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => { output += d })
  const ended = new Promise((resolve, reject) => { child.on('error', reject); child.on('close', resolve) })
  return { child, ended, output: () => output }
}

async function build(args) {
  const made = await run('go', args)
  assert.equal(await made.ended, 0, made.output())
}

const ways = {
  /** Vetted and built with this module's versions of the libraries. */
  async go(dir) {
    await writeFile(path.join(dir, 'main.go'), await sample('go'))
    const out = path.join(dir, 'app')
    await build(['vet', path.join(dir, 'main.go')])
    await build(['build', '-buildvcs=false', '-o', out, path.join(dir, 'main.go')])
    return [out, []]
  },
  async js(dir) {
    await writeFile(path.join(dir, 'app.mjs'), await sample('js'))
    return [process.execPath, [path.join(dir, 'app.mjs')]]
  },
}

for (const [language, make] of Object.entries(ways)) {
  test(`the ${language} sample of the README signs a person in, and says when it may not`, async (t) => {
    const dir = await mkdtemp(path.join(here, '.sample-')) // in here, so that it finds the libraries
    t.after(() => rm(dir, { recursive: true, force: true }))
    const { broker, account } = await provider(t)
    const APP = `http://127.0.0.1:${await freePort()}`
    const client = await broker.addClient('--name', 'Sample', '--first-party', '--redirect-uri', APP + '/callback')
    const { child, ended, output } = await run(...await make(dir), { ISSUER: broker.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret, APP })
    t.after(() => { child.kill(); return ended })
    await until(async () => {
      assert.equal(child.exitCode, null, output())
      return (await fetch(APP, { redirect: 'manual' })).status === 303
    }, { about: 'the sample' })
    const { page } = await person(t)
    await page.goto(APP)
    await signIn(page, owner)
    await page.waitForURL(APP + '/callback*')
    assert.equal((await page.locator('body').innerText()).trim(), `Hello ${owner.email}, I know you as ${account.id}`)
    await page.goto(page.url().replace(/state=[^&]*/, 'state=another'))
    assert.match(await page.locator('body').innerText(), /^You are not signed in/)
    await broker.run(['clients', 'disable', client.client_id])
    const stranger = await person(t)
    await stranger.page.goto(APP)
    assert.equal(new URL(stranger.page.url()).origin, broker.issuer)
  })
}
