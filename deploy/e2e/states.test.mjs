// Every state of every page, walked through once in a right-to-left language, and what must hold on each.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { failure, forced, keyboard, layout, still, tree } from './inspect.mjs'
import { reached, states } from './states.mjs'
import { life, setUp } from './setup.mjs'

describe('every state', () => {
  const found = { layout: [], keyboard: [], failure: [], tree: [], forced: [], still: [] }
  const seen = []
  const ends = life()

  before(async () => {
    const w = await setUp(ends, { env: { GATEHOUSE_LANGUAGES: 'en,fr,es,de,ar-XB' } })
    for (const state of states) {
      const contexts = []
      const look = async (what, inspect, page) => found[what].push(...(await inspect(page, state)).map((fault) => `${state.name}: ${fault}`))
      try {
        const page = await state.go(w, (options) => w.visitor({ after: (end) => contexts.push(end) }, { locale: 'ar-XB', ...options }))
        await reached(page, state)
        if (state.wrong) await look('failure', failure, page)
        await look('tree', tree, page)
        await look('keyboard', keyboard, page)
        await look('forced', forced, page)
        await look('still', still, page)
        await look('layout', layout, page)
        seen.push(state.name)
      } catch (error) {
        throw new Error(`${state.name}: ${error.message}`, { cause: error })
      } finally {
        for (const end of contexts) await end()
      }
    }
  })

  const none = (what) => {
    assert.equal(seen.length, states.length)
    assert.deepEqual([...new Set(found[what])], [])
  }

  test('ac_35 a page that is written from the right is laid out so, fits into 320 pixels, and cuts no text off', () => none('layout'))
  test('ac_38 the Tab key reaches everything in its order, and the ring is seen on every stop', () => none('keyboard'))
  test('ac_38 after a failed submit the title says so, and the first wrong field has the focus', () => none('failure'))
  test('ac_39 errors and confirmations are announced, and each error belongs to its field', () => none('tree'))
  test('ac_42 every button keeps its edge where the system forces its colours', () => none('forced'))
  test('ac_42 nothing moves for who asked for less motion', () => none('still'))
})
