// A deployment of the real thing: `gatehouse serve` on SQLite, or replicas on PostgreSQL and Redis.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { promisify } from 'node:util'
import { freePort, gatehouse, scratch, start, until } from './harness.mjs'

export const engines = ['SQLite', 'PostgreSQL and Redis']

/** Prepares a deployment under an issuer; serve starts one replica of it at a port. More settings go into env. */
export async function deployment(t, engine, { issuer, env: more } = {}) {
  const dir = await scratch(t)
  const port = await freePort()
  issuer ??= `http://localhost:${port}`
  const env = {
    GATEHOUSE_ISSUER: issuer, GATEHOUSE_LISTEN: `127.0.0.1:${port}`, GATEHOUSE_DATA_DIR: path.join(dir, 'data'),
    GATEHOUSE_UPSTREAM_NETWORKS: '127.0.0.0/8', GATEHOUSE_REGISTRATION: 'form', ...more,
  }
  const run = (args, input) => gatehouse(args, { env, input })
  if (engine !== 'SQLite') {
    Object.assign(env, await stores(), { GATEHOUSE_KEYRING: path.join(dir, 'keyring.json') })
    await run(['keys', 'create', env.GATEHOUSE_KEYRING]) // beside SQLite the first start makes one
  }
  await run(['migrate'])
  return {
    issuer, run, mailbox: path.join(dir, 'data', 'mailbox'), callback: (connection) => `${issuer}/callback/${connection}`,
    /** Starts one replica, at the deployment's own port where none is named. */
    async serve(at = port) {
      const operations = `127.0.0.1:${await freePort()}`
      const server = await start(t, ['serve'], { env: { ...env, GATEHOUSE_LISTEN: `127.0.0.1:${at}`, GATEHOUSE_OPERATIONS_LISTEN: operations } })
      await until(async () => {
        assert.ok(server.running(), 'it ended')
        return (await fetch(`http://${operations}/healthz/ready`)).ok
      }, { about: 'the broker' }).catch((error) => { throw new Error(server.output().slice(-2000), { cause: error }) })
      return { ...server, port: at }
    },
    connect: (id, name, upstream) => run(['connections', 'add', id, '--kind', 'oidc', '--name', name, '--issuer', upstream.issuer,
      '--client-id', upstream.client_id, '--client-secret-file', '-', '--live', '--json'], upstream.client_secret),
    addAccount: (email, password) => run(['accounts', 'add', email, '--password-file', '-', '--json'], password),
    addClient: (...flags) => run(['clients', 'add', '--json', ...flags]),
  }
}

// stores creates a database on the server that GATEHOUSE_TEST_POSTGRES names.
async function stores() {
  const { GATEHOUSE_TEST_POSTGRES: postgres, GATEHOUSE_TEST_REDIS: redis } = process.env
  assert.ok(postgres && redis, 'set GATEHOUSE_TEST_POSTGRES and GATEHOUSE_TEST_REDIS, or run deploy/check.sh')
  const name = 'e2e_' + randomBytes(6).toString('hex')
  await promisify(execFile)('psql', ['-qc', `create database ${name}`, postgres])
  const url = new URL(postgres)
  url.pathname = '/' + name
  return { GATEHOUSE_DATABASE: url.href, GATEHOUSE_REDIS: redis }
}
