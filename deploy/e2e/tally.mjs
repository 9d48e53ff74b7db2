// Prints what the tests reported: terse if all passed, in full where something failed.
//
//   go test -json … | node tally.mjs go RESULTS         reads Go's events
//   node --test --test-reporter=./tally.mjs             reads Node's, results go to $TALLY
//   node tally.mjs sum CHECKS RESULTS…                  security rows, and the last line
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

// The rows of SECURITY.md §2: a test proves those whose ids its name holds, as in TestB10_EntraCrossTenant.
const rows = Object.entries({ A: 24, B: 25, C: 23, D: 21, E: 20, F: 16, G: 20, H: 10 })
  .flatMap(([group, n]) => Array.from({ length: n }, (_, i) => group + (i + 1)))

export function rowsOf(name) {
  return name.split(/[^A-Za-z0-9]+/).map((word) => word.replace(/^Test/, '')).filter((word) => rows.includes(word))
}

/** Collects Go's events. A test with subtests is not counted beside them. */
export class GoTally {
  tests = new Map() // "package Test/sub" → { verdict, output }

  add(event) {
    const of = event.Package ?? event.ImportPath ?? ''
    const key = event.Test ? `${of} ${event.Test}` : of
    const entry = this.tests.get(key) ?? { name: event.Test, output: '' }
    this.tests.set(key, entry)
    if (event.Output) entry.output += event.Output
    if (['pass', 'fail', 'skip'].includes(event.Action)) entry.verdict = event.Action
    if (event.Action === 'build-fail') entry.verdict = 'fail'
  }

  results() {
    const done = { passed: [], failed: [], skipped: [], text: '' }
    const keys = [...this.tests.keys()]
    const parents = new Set(keys.flatMap(ancestors))
    for (const [key, { name, verdict, output }] of this.tests) {
      if (!name) {
        // A package fails of itself only where no test of it did; a package without tests "skips".
        if (verdict === 'fail' && !keys.some((k) => k.startsWith(key + ' ') && this.tests.get(k).verdict !== 'pass')) {
          done.failed.push(key)
          done.text += output
        }
        continue
      }
      if (verdict === 'skip') done.skipped.push(key)
      else if (verdict !== 'pass') {
        done.failed.push(key) // a test that never ended counts as failed
        done.text += output
      } else if (!parents.has(key)) done.passed.push(key)
    }
    return done
  }
}

// ancestors of "pkg Test/a/b" are "pkg Test" and "pkg Test/a".
function ancestors(key) {
  const [pkg, test = ''] = key.split(/ (.*)/s)
  const parts = test.split('/')
  return parts.slice(1).map((_, i) => `${pkg} ${parts.slice(0, i + 1).join('/')}`)
}

/** The reporter for Node's own runner. */
export default async function* report(events) {
  const done = { passed: [], failed: [], skipped: [] }
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const error = data.details.error
    if (data.details.type === 'suite') { // its tests are counted, its hooks are not
      if (error && error.failureType !== 'subtestsFailed') yield `FAIL ${data.name}\n${(error.cause ?? error).stack ?? error}\n`
      continue
    }
    if (data.skip !== undefined || data.todo !== undefined) done.skipped.push(data.name)
    else if (type === 'test:pass') done.passed.push(data.name)
    else {
      done.failed.push(data.name)
      const cause = error.cause ?? error
      yield `FAIL ${data.name} (${(data.details.duration_ms / 1000).toFixed(1)} s)\n${cause.stack ?? cause}\n`
    }
  }
  if (process.env.TALLY) writeFileSync(process.env.TALLY, JSON.stringify(done))
  yield `${done.passed.length} passed, ${done.failed.length} failed, ${done.skipped.length} skipped\n`
}

async function readGo(out) {
  const tally = new GoTally()
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.startsWith('{')) tally.add(JSON.parse(line))
    else console.log(line)
  }
  const done = tally.results()
  process.stdout.write(done.text)
  process.exitCode = done.failed.length || done.skipped.length || !done.passed.length ? 1 : 0
  for (const key of done.skipped) console.log('SKIPPED', key)
  writeFileSync(out, JSON.stringify(done))
}

/**
 * Adds everything up; checks is the number of failed checks that are not tests. A skip is as bad as a failure.
 * A test that runs twice, with the race detector and without, counts once.
 */
export function sum(checks, results) {
  const of = (verdict) => [...new Set(results.flatMap((r) => r[verdict]))]
  const all = { passed: of('passed'), failed: of('failed'), skipped: of('skipped') }
  const spoiled = new Set([...all.failed, ...all.skipped].flatMap(rowsOf))
  const proven = new Set(all.passed.flatMap(rowsOf).filter((row) => !spoiled.has(row)))
  const pending = rows.filter((row) => !proven.has(row))
  const failed = all.failed.length + checks
  return {
    ok: failed === 0 && all.skipped.length === 0 && results.every((r) => r.passed.length > 0),
    text: `security rows: ${proven.size} proven / ${pending.length} pending / ${rows.length}\n` +
      (pending.length ? `pending: ${pending.join(' ')}\n` : '') +
      `${all.passed.length} passed, ${failed} failed, ${all.skipped.length} skipped`,
  }
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file))
  } catch {
    return { passed: [], failed: ['nothing was written to ' + file], skipped: [] }
  }
}

const [, , command, ...args] = process.argv
if (command === 'go') await readGo(args[0])
if (command === 'sum') {
  const { ok, text } = sum(Number(args[0]), args.slice(1).map(readResults))
  console.log(text)
  process.exitCode = ok ? 0 : 1
}
