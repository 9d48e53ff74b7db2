// A second upstream that we did not write: Debian's LemonLDAP::NG, with the demonstration accounts that it comes with.
import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { freePort, scratch, supervise, until } from './harness.mjs'

/** Its own people; the password of each is the login name. */
export const people = { rtyler: 'rtyler@badwolf.org', dwho: 'dwho@badwolf.org' }

/** Starts the portal on a free port of 127.0.0.1, with one relying party. It reads its configuration from a folder. */
export async function startLemonldap(t, { redirectURI }) {
  const dir = await scratch(t)
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const client = { client_id: 'gatehouse', client_secret: randomBytes(24).toString('hex') }
  await writeFile(path.join(dir, 'lmConf-1.json'), JSON.stringify(await configuration(dir, issuer, client, redirectURI)))
  const run = `use Lemonldap::NG::Portal::Main;
    Lemonldap::NG::Portal::Main->run({ configStorage => { type => 'File', dirName => '${dir}' }, localSessionStorage => '', logLevel => 'warn' })`
  const { output } = supervise(t, spawn('plackup', ['--host', '127.0.0.1', '--port', String(port), '-e', run], { stdio: ['ignore', 'pipe', 'pipe'] }))
  await until(async () => (await fetch(issuer + '/.well-known/openid-configuration')).ok, { about: 'LemonLDAP::NG' })
    .catch((error) => { throw new Error(output().slice(-3000), { cause: error }) })
  return { issuer, ...client }
}

// configuration is Debian's own, with folders of its own, keys, and the relying party.
async function configuration(dir, issuer, { client_id, client_secret }, redirectURI) {
  const base = JSON.parse(await readFile('/var/lib/lemonldap-ng/conf/lmConf-1.json'))
  const store = async (name) => {
    const Directory = path.join(dir, name)
    await mkdir(path.join(Directory, 'lock'), { recursive: true })
    return { ...base[name + 'Options'], Directory, LockDirectory: path.join(Directory, 'lock') }
  }
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    ...base, portal: issuer + '/', domain: '127.0.0.1', notification: 0, portalDisplayRegister: 0, portalDisplayResetPassword: 0, localSessionStorage: '',
    globalStorageOptions: await store('globalStorage'), persistentStorageOptions: await store('persistentStorage'),
    issuerDBOpenIDConnectActivation: 1, oidcServiceMetaDataIssuer: issuer, oidcServiceKeyIdSig: 'one', oidcServiceAllowAuthorizationCodeFlow: 1,
    oidcServicePrivateKeySig: privateKey.export({ type: 'pkcs8', format: 'pem' }), oidcServicePublicKeySig: publicKey.export({ type: 'spki', format: 'pem' }),
    oidcRPMetaDataExportedVars: { gatehouse: { email: 'mail', name: 'cn' } },
    oidcRPMetaDataOptions: {
      gatehouse: {
        oidcRPMetaDataOptionsClientID: client_id, oidcRPMetaDataOptionsClientSecret: client_secret, oidcRPMetaDataOptionsRedirectUris: redirectURI,
        oidcRPMetaDataOptionsIDTokenSignAlg: 'RS256', oidcRPMetaDataOptionsBypassConsent: 1,
      },
    },
  }
}
