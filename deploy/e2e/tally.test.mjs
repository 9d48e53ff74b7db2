import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GoTally, rowsOf, sum } from './tally.mjs'

function results(...events) {
  const tally = new GoTally()
  for (const [Action, Package, Test, Output] of events) tally.add({ Action, Package, Test, Output })
  return tally.results()
}

test('tally: a row is named by a whole word of a test name', () => {
  assert.deepEqual(rowsOf('TestB10_EntraCrossTenant'), ['B10'])
  assert.deepEqual(rowsOf('gatehouse/broker/login TestC3_C4_Proof/after_unlink'), ['C3', 'C4'])
  assert.deepEqual(rowsOf('a7 refresh'), [])
  assert.deepEqual(rowsOf('TestAC33_StartAgain/H11/A25/B100'), [])
})

test('tally: only the leaves of passing Go tests count', () => {
  const r = results(['run', 'p/q', 'TestA'], ['pass', 'p/q', 'TestA/x/y'], ['pass', 'p/q', 'TestA/x'], ['pass', 'p/q', 'TestA'],
    ['pass', 'p/q', 'TestAlone'], ['pass', 'p/q'], ['skip', 'p/none'])
  assert.deepEqual(r.passed, ['p/q TestA/x/y', 'p/q TestAlone'])
  assert.deepEqual([r.failed, r.skipped], [[], []])
})

test('tally: a failing test is told with all it wrote, its package is not counted beside it', () => {
  const r = results(['output', 'p', 'TestA', 'want 1, got 2\n'], ['fail', 'p', 'TestA'], ['output', 'p', undefined, 'FAIL p\n'], ['fail', 'p'])
  assert.deepEqual(r.failed, ['p TestA'])
  assert.equal(r.text, 'want 1, got 2\n')
})

test('tally: a package that does not build, and a test that never ends, fail', () => {
  const broken = results(['build-output', 'p', undefined, 'x.go:1: undefined\n'], ['build-fail', 'p'], ['fail', 'p'])
  assert.deepEqual(broken.failed, ['p'])
  assert.match(broken.text, /undefined/)
  assert.deepEqual(results(['run', 'p', 'TestHangs'], ['fail', 'p']).failed, ['p TestHangs'])
})

test('tally: skips, failures and empty suites spoil the whole', () => {
  const good = { passed: ['TestA1_X', 'TestA2_Y'], failed: [], skipped: [] }
  assert.equal(sum(0, [good]).ok, true)
  assert.match(sum(0, [good]).text, /2 proven \/ 157 pending \/ 159/)
  assert.match(sum(0, [good]).text, /\n2 passed, 0 failed, 0 skipped$/)
  assert.equal(sum(1, [good]).ok, false)
  assert.equal(sum(0, [good, { passed: [], failed: [], skipped: [] }]).ok, false)
  assert.equal(sum(0, [good, { passed: ['TestB1'], failed: [], skipped: ['TestC1_Later'] }]).ok, false)
  const spoiled = sum(0, [good, { passed: [], failed: ['TestA1_Z'], skipped: [] }])
  assert.equal(spoiled.ok, false)
  assert.match(spoiled.text, /1 proven/)
})
