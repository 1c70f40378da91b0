// Signs a request by the scheme v3.0 and sends it. Prints the status and the answer; ends with 0 on 2xx.
//
//   CS_KEY_ID=ck_... CS_SECRET=css_... node sign.mjs METHOD URL [BODY|@FILE] [CONTENT-TYPE]
//
// In a browser: import { sign } from './sign.mjs'. There the page must come by https or from localhost, and whoever
// can open the page can read the secret: give it a key of its own, for people who may have it.

// Node 18 has it in a module only.
const crypto = globalThis.crypto ?? (await import('node:crypto')).webcrypto;
const utf8 = new TextEncoder();

/**
 * Gives the four headers.
 * @param {string} method
 * @param {string|URL} url absolute, or relative to the page; no bare "?" at its end, which browsers send and Node does not
 * @param {Uint8Array} body the bytes that will be sent; empty for none
 * @param {string} contentType the value that will be sent; '' for none
 * @param {string} keyId ck_...
 * @param {string} secret css_..., as it was shown
 */
export async function sign(method, url, body, contentType, keyId, secret, timestamp = unixSeconds(), nonce = freshNonce()) {
  // `host` is in lower case and has a port only if it is not the default one.
  const { host, pathname, search } = new URL(url, globalThis.location?.href);
  const lines = [
    'v3.0',
    keyId,
    String(timestamp),
    nonce,
    method.toUpperCase(),
    host,
    pathname + search,
    contentType,
    hex(await crypto.subtle.digest('SHA-256', body)),
  ];
  const key = await crypto.subtle.importKey('raw', utf8.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const mac = hex(await crypto.subtle.sign('HMAC', key, utf8.encode(lines.join('\n'))));
  return { 'X-Key-Id': keyId, 'X-Timestamp': String(timestamp), 'X-Nonce': nonce, 'X-Signature': `v3=${mac}` };
}

/** Signs and sends. Gives what `fetch` gives. */
export async function signedFetch(method, url, body, contentType, keyId, secret) {
  url = new URL(url, globalThis.location?.href);
  if (!url.search) url.search = ''; // takes a bare "?" off
  const headers = await sign(method, url, body, contentType, keyId, secret);
  if (contentType) headers['Content-Type'] = contentType;
  // Bytes, because fetch adds a Content-Type to a string. No redirects: the signature is for this URL alone.
  return fetch(url, { method: method.toUpperCase(), headers, body: body.length ? body : undefined, redirect: 'manual' });
}

const unixSeconds = () => Math.floor(Date.now() / 1000);
const freshNonce = () => hex(crypto.getRandomValues(new Uint8Array(16)));
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

async function main([method, url, data = '', type = ''], { CS_KEY_ID, CS_SECRET }) {
  if (!url || !CS_KEY_ID || !CS_SECRET) {
    console.error('usage: CS_KEY_ID=ck_... CS_SECRET=css_... node sign.mjs METHOD URL [BODY|@FILE] [CONTENT-TYPE]');
    return 2;
  }
  const { readFile } = await import('node:fs/promises');
  const body = data.startsWith('@') ? await readFile(data.slice(1)) : utf8.encode(data);
  const contentType = type || (body.length ? 'application/json' : '');
  const answer = await signedFetch(method, url, body, contentType, CS_KEY_ID, CS_SECRET);
  console.log(answer.status);
  process.stdout.write(new Uint8Array(await answer.arrayBuffer()));
  return answer.ok ? 0 : 1;
}

// Not when another module imports this one.
if (globalThis.process?.argv?.[1]) {
  const { existsSync, realpathSync } = await import('node:fs');
  const { fileURLToPath } = await import('node:url');
  const script = process.argv[1];
  if (existsSync(script) && realpathSync(script) === fileURLToPath(import.meta.url)) {
    process.exitCode = await main(process.argv.slice(2), process.env);
  }
}
