// Checks of a page in any language: direction and space for text, keyboard order, the accessibility tree of screen
// readers, forced colours and motion. Each returns a list of problems.

/** A right-to-left page at 320 pixels, with the text spacing of WCAG 1.4.12 at both font sizes. */
export async function layout(page) {
  const faults = []
  const dir = await page.evaluate(() => document.documentElement.dir)
  if (dir !== 'rtl') faults.push(`dir is ${dir}`)
  await page.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = true })
  await page.setViewportSize({ width: 320, height: 568 })
  faults.push(...await page.evaluate(clipped, 'at 320'))
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet() // not an element, which the pages' policy would refuse
    sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-block-end: 2em !important }')
    document.adoptedStyleSheets.push(sheet)
  })
  faults.push(...await page.evaluate(clipped, 'at 320, spaced'))
  await page.setViewportSize({ width: 640, height: 568 })
  await page.evaluate(() => { document.documentElement.style.fontSize = '200%' })
  faults.push(...await page.evaluate(clipped, 'at 640 and 200 %, spaced'))
  return faults
}

// clipped runs in the page: no horizontal scrolling, and no text outside the window or its box.
function clipped(when) {
  const faults = []
  const over = document.documentElement.scrollWidth - innerWidth
  if (over > 0) faults.push(`${when}: ${over} px too wide`)
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const text = texts.currentNode
    const e = text.parentElement
    if (!text.data.trim() || !e.checkVisibility({ visibilityProperty: true }) || e.closest('.vh')) continue
    const range = document.createRange()
    range.selectNodeContents(text)
    const boxes = [{ left: 0, right: innerWidth, top: -Infinity, bottom: Infinity }]
    for (let b = e; b !== document.body; b = b.parentElement) {
      const { overflowX, display } = getComputedStyle(b)
      if (display !== 'inline' && (overflowX !== 'visible' || b.matches('.btn, .chip, .badge, .note, .card, .reveal, .pair, summary'))) boxes.push(b.getBoundingClientRect())
    }
    for (const r of range.getClientRects()) {
      if (r.width && boxes.some((b) => r.left < b.left - 1 || r.right > b.right + 1 || r.top < b.top - 1 || r.bottom > b.bottom + 1)) {
        faults.push(`${when}: “${text.data.trim().slice(0, 40)}” is cut off in ${e.outerHTML.slice(0, 60)}`)
        break
      }
    }
  }
  return faults
}

// measureRing runs in the page and defines a function that returns the problems of the focus ring.
export function measureRing() {
  const channels = (colour) => { // of rgb() and rgba()
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number)
    return { rgb: [r, g, b], a }
  }
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  globalThis.behind = (e) => { // the colour that an element stands on
    for (; e; e = e.parentElement) {
      const { rgb, a } = channels(getComputedStyle(e).backgroundColor)
      if (a === 1) return rgb
    }
    return [255, 255, 255]
  }
  globalThis.contrast = (colour, ground) => {
    const [a, b] = [light(channels(colour).rgb), light(ground)].sort((x, y) => y - x)
    return (a + 0.05) / (b + 0.05)
  }
  globalThis.stops = () => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
    .filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.tabIndex >= 0)
  globalThis.ring = (e) => {
    const style = getComputedStyle(e)
    const box = e.getBoundingClientRect()
    const name = e.outerHTML.slice(0, 80)
    if (!e.matches(':focus-visible')) return [`${name} is in focus and does not show it`]
    const faults = []
    if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) faults.push(`${name} has a ring of ${style.outlineStyle} ${style.outlineWidth}`)
    const ratio = globalThis.contrast(style.outlineColor, globalThis.behind(e.parentElement))
    if (ratio < 3) faults.push(`${name} has a ring of ${ratio.toFixed(2)}:1`)
    if (box.bottom < 0 || box.top > innerHeight) faults.push(`${name} is in focus out of sight`)
    return faults
  }
}

/** Tabs through the whole page: every control is reached, in the page's order, and shows its ring in both themes. */
export async function keyboard(page) {
  await page.evaluate(measureRing)
  const count = await page.evaluate(() => {
    globalThis.way = []
    addEventListener('focusin', ({ target }) => globalThis.way.push({ at: globalThis.stops().indexOf(target), faults: globalThis.ring(target), name: target.outerHTML.slice(0, 80) }))
    return globalThis.stops().length
  })
  for (let n = 0; n < count + 2; n++) await page.keyboard.press('Tab')
  const faults = await page.evaluate(() => {
    const { way } = globalThis
    const names = globalThis.stops().map((e) => e.outerHTML.slice(0, 80))
    const faults = way.flatMap((w) => w.faults)
    names.forEach((name, at) => { if (!way.some((w) => w.at === at)) faults.push(`${name} is not reached`) })
    way.forEach((w, n) => { if (n > 0 && w.at !== (way[n - 1].at + 1) % names.length) faults.push(`${w.name} comes after ${way[n - 1].name}`) })
    return faults
  })
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' })
  faults.push(...await page.evaluate(() => globalThis.stops().flatMap((e) => {
    e.focus()
    return globalThis.ring(e).map((fault) => 'dark: ' + fault)
  })))
  await page.emulateMedia({ colorScheme: null, reducedMotion: null })
  return faults
}

/** Waits up to two seconds until autofocus has taken effect: the browser applies it with its first frame, after the load. */
export async function focused(page) {
  for (let tries = 0; tries < 100; tries++) {
    if (await page.evaluate(() => document.activeElement !== document.body)) return
    await new Promise((wake) => setTimeout(wake, 20))
  }
}

/** A failed form: its title says so, and the first wrong field or the summary has the focus, before any key is pressed. */
export async function failure(page) {
  await focused(page)
  return page.evaluate(() => {
    const faults = []
    if (!/^\u202e?Error:\u202c? /.test(document.title)) faults.push(`the title is ${document.title}`)
    const bad = document.querySelector('[aria-invalid=true]')
    const want = bad ?? document.querySelector('[role=alert]')
    if (document.activeElement !== want) faults.push(`the focus is on ${document.activeElement.outerHTML.slice(0, 80)}`)
    for (const link of document.querySelectorAll('[role=alert] a')) {
      if (!document.querySelector(link.getAttribute('href'))?.matches('input[aria-invalid=true]')) faults.push(`${link.outerHTML} leads to no field that is wrong`)
    }
    return faults
  })
}

/** The accessibility tree. */
export async function tree(page, { wrong, status }) {
  const cdp = await page.context().newCDPSession(page)
  const { nodes } = await cdp.send('Accessibility.getFullAXTree')
  await cdp.detach()
  const seen = nodes.filter((n) => !n.ignored)
  const all = (...roles) => seen.filter((n) => roles.includes(n.role?.value))
  const byID = new Map(nodes.map((n) => [n.nodeId, n]))
  const within = (node) => (node?.childIds ?? []).flatMap((id) => [byID.get(id)?.name?.value ?? '', ...within(byID.get(id))])
  const property = (node, name) => node.properties?.find((p) => p.name === name)?.value.value
  const faults = []
  if (all('main').length !== 1) faults.push(`${all('main').length} main landmarks`)
  const tops = all('heading').filter((n) => property(n, 'level') === 1)
  if (tops.length !== 1) faults.push(`${tops.length} headings of the first level`)
  for (const n of all('button', 'link', 'textbox', 'checkbox', 'navigation')) {
    if (!n.name?.value) faults.push(`a ${n.role.value} without a name`)
  }
  const errors = await page.locator('.wrong').allTextContents()
  const alerts = all('alert')
  if (wrong) {
    if (alerts.length !== 1) faults.push(`${alerts.length} alerts`)
    const said = alerts.flatMap(within).join(' ')
    const bad = all('textbox').filter((n) => property(n, 'invalid') === 'true')
    if (bad.length !== errors.length) faults.push(`${bad.length} fields are wrong, ${errors.length} are said to be`)
    errors.forEach((error, i) => {
      const text = error.trim()
      if (!bad[i]?.description?.value?.includes(text)) faults.push(`“${text}” does not describe its field: ${bad[i]?.description?.value}`)
      if (!said.includes(text.replace(/^\S+ /, ''))) faults.push(`“${text}” is not in the alert: ${said}`)
    })
    if (!said.trim()) faults.push('the alert says nothing')
  } else if (alerts.length + errors.length > 0) {
    faults.push('an alert without an error')
  }
  if (status && !all('status').some((n) => within(n).join('').trim())) faults.push('nothing is announced as a status')
  return faults
}

/** Forced colours: every button keeps a visible edge. */
export async function forced(page) {
  await page.evaluate(measureRing)
  await page.emulateMedia({ forcedColors: 'active' })
  const faults = await page.evaluate(() => [...document.querySelectorAll('button, .btn')].filter((e) => e.checkVisibility({ visibilityProperty: true })).flatMap((e) => {
    const style = getComputedStyle(e)
    return ['Top', 'Right', 'Bottom', 'Left'].flatMap((side) => {
      const [width, line, colour] = ['Width', 'Style', 'Color'].map((what) => style[`border${side}${what}`])
      const seen = parseFloat(width) >= 1 && line !== 'none' && globalThis.contrast(colour, globalThis.behind(e.parentElement)) >= 3
      return seen ? [] : [`${e.outerHTML.slice(0, 80)} has no ${side.toLowerCase()} edge: ${width} ${line} ${colour}`]
    })
  }))
  await page.emulateMedia({ forcedColors: null })
  return faults
}

/** With reduced motion nothing moves. */
export async function still(page) {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  const faults = await page.evaluate(() => [...document.querySelectorAll('*')].flatMap((e) => [null, '::before', '::after'].flatMap((pseudo) => {
    const { transitionDuration, animationDuration } = getComputedStyle(e, pseudo)
    return /[1-9]/.test(transitionDuration + animationDuration) ? [`${e.outerHTML.slice(0, 60)} moves for ${transitionDuration}, ${animationDuration}`] : []
  })))
  await page.emulateMedia({ reducedMotion: null })
  return faults
}
