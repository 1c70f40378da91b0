// Sends each case with the client library that it names, as an integrator would use it.
//
// Standard input: {"base": "http://127.0.0.1:PORT", "cases": [{name, client, method, target, body, key, secret}]}.
// Standard output: a line of JSON for each case, with the status that was answered, or what was thrown.

import http from 'node:http';
import { createHash, createHmac, webcrypto } from 'node:crypto';
import { text } from 'node:stream/consumers';

import { sign as githubSign } from '@octokit/webhooks-methods';
import aws4 from 'aws4';
import { AwsClient } from 'aws4fetch';
import Escher from 'escher-auth';
import Hawk from 'hawk';
import messageSignatures from 'http-message-signatures';
import httpSignature from 'http-signature';
import OAuth from 'oauth-1.0a';
import Stripe from 'stripe';
import { Webhook } from 'standardwebhooks';

// Node 18 has it under this name only.
globalThis.crypto ??= webcrypto;

const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';

const sha256 = (body) => createHash('sha256').update(body).digest('base64');

/** Sends with node:http. `prepare` may sign the request that is about to go. */
function send({ base, method, target, body, type = JSON_TYPE }, headers, prepare = () => {}) {
  const { hostname, port, host } = new URL(base);
  const content = body ? { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) } : {};
  return new Promise((resolve, reject) => {
    const all = { Host: host, ...content, ...headers };
    const request = http.request({ hostname, port, method, path: target, headers: all, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    });
    request.on('error', reject);
    prepare(request);
    request.end(body);
  });
}

const clients = {
  async aws4(c) {
    return sendSigned(c, aws4Options(c));
  },

  async aws4_query(c) {
    return sendSigned(c, { ...aws4Options(c), signQuery: true });
  },

  async aws4fetch(c) {
    const { method, url, body, key, secret } = c;
    const client = new AwsClient({ accessKeyId: key, secretAccessKey: secret, region: 'eu-central-1', service: 'execute-api', retries: 0 });
    return (await client.fetch(url, { method, ...(body && { body, headers: { 'Content-Type': JSON_TYPE } }) })).status;
  },

  async aws4fetch_s3({ method, url, body, key, secret }) {
    const client = new AwsClient({ accessKeyId: key, secretAccessKey: secret, region: 'eu-central-1', service: 's3', retries: 0 });
    return (await client.fetch(url, { method, ...(body && { body }) })).status;
  },

  async hawk(c) {
    const credentials = { id: c.key, key: c.secret, algorithm: 'sha256' };
    const payload = c.body ? { payload: c.body, contentType: JSON_TYPE } : {};
    const { header } = Hawk.client.header(c.url, c.method, { credentials, ext: 'some-app-data', ...payload });
    return send(c, { Authorization: header });
  },

  async hawk_bewit(c) {
    const credentials = { id: c.key, key: c.secret, algorithm: 'sha256' };
    const bewit = Hawk.uri.getBewit(c.url, { credentials, ttlSec: 60 });
    return (await fetch(`${c.url}${c.target.includes('?') ? '&' : '?'}bewit=${bewit}`)).status;
  },

  async http_signature(c) {
    const headers = ['(request-target)', 'host', 'date', ...(c.body ? ['digest'] : [])];
    const digest = c.body ? { Digest: `SHA-256=${sha256(c.body)}` } : {};
    return send(c, digest, (request) => {
      httpSignature.sign(request, { keyId: c.key, key: c.secret, algorithm: 'hmac-sha256', headers });
    });
  },

  async http_message_signatures(c) {
    const fields = ['@method', '@authority', '@path', '@query', ...(c.body ? ['content-digest', 'content-type'] : [])];
    const headers = c.body ? { 'Content-Digest': `sha-256=:${sha256(c.body)}:`, 'Content-Type': JSON_TYPE } : {};
    const key = messageSignatures.createSigner(c.secret, 'hmac-sha256', c.key);
    const signed = await messageSignatures.httpbis.signMessage({ key, fields }, { method: c.method, url: c.url, headers });
    return send(c, signed.headers);
  },

  async http_message_signatures_cavage(c) {
    return cavage(c, ['@request-target', 'host', '@created', '@expires', 'digest']);
  },

  async http_message_signatures_cavage_defaults(c) {
    return cavage(c, ['@request-target', 'host', '@created', 'digest']);
  },

  async oauth(c) {
    const { secret, token, token_secret } = JSON.parse(c.secret);
    const hash_function = (base, key) => createHmac('sha1', key).update(base).digest('base64');
    const oauth = new OAuth({ consumer: { key: c.key, secret }, signature_method: 'HMAC-SHA1', hash_function });
    const data = Object.fromEntries(new URLSearchParams(c.body));
    const signed = oauth.authorize({ url: c.url, method: c.method, data }, { key: token, secret: token_secret });
    return send({ ...c, type: FORM_TYPE }, { ...oauth.toHeader(signed) });
  },

  async escher(c) {
    const escher = new Escher({ accessKeyId: c.key, apiSecret: c.secret, credentialScope: 'eu/orders/ems_request' });
    const headers = [['Host', new URL(c.base).host]];
    const signed = escher.signRequest({ method: c.method, host: new URL(c.base).host, url: c.target, headers }, c.body, ['host']);
    return send(c, Object.fromEntries(signed.headers.filter(([name]) => name.toLowerCase() !== 'host')));
  },

  async octokit(c) {
    return send(c, { 'X-GitHub-Event': 'push', 'X-Hub-Signature-256': await githubSign(c.secret, c.body) });
  },

  async standardwebhooks(c) {
    const now = new Date();
    const signature = new Webhook(c.secret).sign('msg_js_1', now, c.body);
    const stamp = Math.floor(now.getTime() / 1000);
    return send(c, { 'webhook-id': 'msg_js_1', 'webhook-timestamp': stamp, 'webhook-signature': signature });
  },

  async stripe(c) {
    return send(c, { 'Stripe-Signature': Stripe.webhooks.generateTestHeaderString({ payload: c.body, secret: c.secret }) });
  },
};

async function cavage(c, fields) {
  const key = messageSignatures.createSigner(c.secret, 'hmac-sha256', c.key);
  const headers = { Host: new URL(c.base).host, Digest: `SHA-256=${sha256(c.body)}` };
  const signed = await messageSignatures.cavage.signMessage({ key, fields }, { method: c.method, url: c.url, headers });
  return send(c, signed.headers);
}

function aws4Options({ base, method, target, body, key, secret }) {
  const headers = { Host: new URL(base).host, ...(body && { 'Content-Type': JSON_TYPE }) };
  const options = { method, path: target, service: 'execute-api', region: 'eu-central-1', headers, ...(body && { body }) };
  return { options, credentials: { accessKeyId: key, secretAccessKey: secret } };
}

function sendSigned(c, { options, credentials, signQuery }) {
  const { path, headers } = aws4.sign({ ...options, signQuery }, credentials);
  return send({ ...c, target: path }, headers);
}

const given = JSON.parse(await text(process.stdin));
for (const one of given.cases) {
  const said = { name: one.name };
  try {
    said.status = await clients[one.client]({ ...one, base: given.base, url: given.base + one.target });
  } catch (error) {
    said.raised = String(error?.stack ?? error);
  }
  console.log(JSON.stringify(said));
}
