// What must hold on every page: accessibility, size, reflow, targets, and the bytes that it loads.
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { until } from './harness.mjs'

// Run by page.evaluate, because the pages' own policy refuses a script tag.
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const shots = process.env.GATEHOUSE_SHOTS
if (shots) mkdirSync(shots, { recursive: true })

/** Checks a page in both themes and at several widths. cold: it may be loaded again to count bytes. */
export async function look(page, name, { cold = true } = {}) {
  const found = { name, url: page.url(), title: await page.title(), violations: [], incomplete: [], overflow: [], small: [] }
  await page.evaluate(axe)
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' }) // or axe measures colours on their way
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 })
      if (shots) await page.screenshot({ path: path.join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: true })
    }
    const result = await page.evaluate((values) => globalThis.axe.run({ runOnly: { type: 'tag', values } }), tags)
    for (const v of result.violations) found.violations.push(`${name} ${colorScheme} ${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`)
    for (const v of result.incomplete) found.incomplete.push(`${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`)
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null })
  // 320 px is also what 400 % zoom leaves of 1280 (WCAG 1.4.10).
  for (const [width, height] of [[320, 568], [390, 800], [1280, 800]]) {
    await page.setViewportSize({ width, height })
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    if (over > 0) found.overflow.push(`${name}: ${over} px too wide at ${width}`)
    found.small.push(...(await page.evaluate(smallTargets)).map((s) => `${name} at ${width}: ${s}`))
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  if (cold) found.cold = await coldLoad(page)
  return found
}

// smallTargets runs in the page: every control is at least 24×24, primary ones 44 high (WCAG 2.5.8, UX.md).
function smallTargets() {
  const small = []
  for (const e of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')) {
    const box = e.getBoundingClientRect()
    if (!e.checkVisibility({ visibilityProperty: true }) || box.width <= 1) continue
    const inSentence = e.tagName === 'A' && getComputedStyle(e).display === 'inline' &&
      [...e.parentElement.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim())
    const primary = e.matches('.btn:not(.small), input:not([type=checkbox]):not([type=radio]):not([readonly])')
    const need = primary ? 44 : 24
    if (!inSentence && (box.height < need - 0.01 || box.width < 24)) small.push(`${e.outerHTML.slice(0, 90)} is ${box.width.toFixed(1)}×${box.height.toFixed(1)}, need ${need}`)
  }
  return small
}

/** Loads the page again without a cache and counts the bytes on the wire. */
async function coldLoad(page) {
  const cdp = await page.context().newCDPSession(page)
  const loaded = { requests: 0, total: 0, js: 0, css: 0 }
  const types = new Map()
  const pending = new Set()
  await cdp.send('Network.enable')
  await cdp.send('Network.setCacheDisabled', { cacheDisabled: true })
  cdp.on('Network.requestWillBeSent', (e) => pending.add(e.requestId))
  cdp.on('Network.loadingFailed', (e) => pending.delete(e.requestId))
  cdp.on('Network.responseReceived', (e) => types.set(e.requestId, e.type))
  cdp.on('Network.loadingFinished', (e) => {
    pending.delete(e.requestId)
    const type = types.get(e.requestId)
    loaded.requests++
    loaded.total += e.encodedDataLength
    if (type === 'Script') loaded.js += e.encodedDataLength
    if (type === 'Stylesheet') loaded.css += e.encodedDataLength
  })
  await page.reload({ waitUntil: 'load' })
  await until(() => pending.size === 0, { about: 'the last response' }) // "networkidle" would wait for half a second more
  await cdp.detach()
  return loaded
}

/** Reads every HTML response of one origin that a browser gets. */
export function readAnswers(context, origin) {
  const answers = []
  const pending = []
  context.on('response', (res) => {
    if (!res.url().startsWith(origin) || !/^text\/html/.test(res.headers()['content-type'] ?? '')) return
    if (res.status() >= 300 && res.status() < 400) return
    pending.push(res.body().then(
      (body) => answers.push({ url: res.url(), status: res.status(), headers: res.headers(), body: body.toString() }),
      () => {}, // the browser left before the page was loaded, as on the hand-off page
    ))
  })
  return async () => {
    await Promise.all(pending)
    return answers
  }
}

/** Counts the colours of an element's picture, as "r,g,b" → share of its pixels. */
export async function colours(page, locator) {
  const png = (await locator.screenshot()).toString('base64')
  const blank = await page.context().newPage()
  const shares = await blank.evaluate(async (png) => {
    const image = new Image()
    image.src = 'data:image/png;base64,' + png
    await image.decode()
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d')
    canvas.drawImage(image, 0, 0)
    const { data } = canvas.getImageData(0, 0, image.width, image.height)
    const counts = {}
    for (let i = 0; i < data.length; i += 4) {
      const key = data.slice(i, i + 3).join(',')
      counts[key] = (counts[key] ?? 0) + 4 / data.length
    }
    return counts
  }, png)
  await blank.close()
  return shares
}
