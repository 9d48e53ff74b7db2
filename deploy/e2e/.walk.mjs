import { chromium } from 'playwright-core'
import { execSync } from 'node:child_process'
const dir = process.argv[2]
const sh = (c) => { console.log('$ ' + c); const o = execSync(c, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell: '/bin/bash' }); console.log(o.trim()); return o }
const t0 = Date.now(); const at = (s) => console.log(`[${((Date.now() - t0) / 1000).toFixed(1)} s] ${s}`)
const b = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
const c = await b.newContext(); c.setDefaultTimeout(30000); const p = await c.newPage()
const text = async () => (await p.locator('body').innerText()).replace(/\s+/g, ' ').slice(0, 300)
sh('./gatehouse accounts restrict carla@contoso.test --only microsoft --config gatehouse-demo/gatehouse.yaml')
await p.goto('http://127.0.0.1:8081'); await p.getByRole('link', { name: 'Sign in', exact: true }).click()
await p.getByRole('textbox', { name: 'Email address' }).fill('carla@contoso.test'); await p.getByRole('button', { name: 'Continue', exact: true }).click()
await p.waitForLoadState(); at('after the address: ' + await text())
await p.locator('input[type=password]').fill('seven boats at noon'); await p.getByRole('button', { name: 'Sign in', exact: true }).click(); await p.waitForTimeout(2000); at('after the password: ' + await text())
await p.getByRole('link', { name: /Microsoft/ }).or(p.getByRole('button', { name: /Microsoft/ })).first().click()
await p.getByRole('link').filter({ hasText: 'Carla Reis' }).click()
await p.waitForTimeout(1500)
if (/simulated/.test(await text())) await p.getByRole('button', { name: 'Continue' }).click()
await p.waitForSelector('h1'); at('link page: ' + await text())
for (let i = 0; i < 4; i++) {
  const c1 = p.locator('input[autocomplete=one-time-code]'), pw = p.locator('input[type=password]')
  if (new URL(p.url()).port === '8081') break
  if (await c1.count()) { const mails = await (await fetch('http://127.0.0.1:8082/mails.json')).json(); const code = /\b\d{6}\b/.exec(mails.find((m) => m.to.includes('carla') && /\b\d{6}\b/.test(m.text)).text)?.[0]; await c1.fill(code); if (await pw.count()) await pw.fill('seven boats at noon'); console.log('buttons ' + (await p.locator('main button').allInnerTexts()).join('|')); await (await pw.count() ? pw : c1).press('Enter') }
  else { at('buttons ' + (await p.locator('main button').allInnerTexts()).join('|')); await p.locator('main button').first().click() }
  await p.waitForTimeout(2500); at('then: ' + p.url() + ' ' + await text())
}
await p.getByRole('link', { name: 'Sign out' }).click(); await p.waitForTimeout(1500); at('signed out: ' + p.url() + ' ' + await text())
const q = await (await b.newContext()).newPage(); await q.goto('http://127.0.0.1:8081'); await q.getByRole('link', { name: 'Sign in', exact: true }).click()
await q.getByRole('link', { name: /Continue with Microsoft/ }).click(); await q.getByRole('link').filter({ hasText: 'Eva Fischer' }).click(); await q.waitForTimeout(2500)
const body = (await q.locator('body').innerText()).replace(/\s+/g, ' '); console.log(body.slice(0, 400)); const ref = /[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}/.exec(body)?.[0] ?? /[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}/.exec(await q.content())?.[0]
at('reference ' + ref)
sh(`./gatehouse audit --reference ${ref.toLowerCase().replace('-', '')} --config gatehouse-demo/gatehouse.yaml`)
sh('./gatehouse explain --connection microsoft --claims gatehouse-demo/claims/microsoft-eva.json --config gatehouse-demo/gatehouse.yaml')
sh('./gatehouse explain --connection google --claims gatehouse-demo/claims/google-ana.json --config gatehouse-demo/gatehouse.yaml')
sh('./gatehouse accounts unrestrict carla@contoso.test --config gatehouse-demo/gatehouse.yaml')
at('restrict and explain done')
await b.close()
