// What openid-client does beyond signing users in: it connects a device, registers itself, exchanges tokens, brings the
// word of another issuer, and hears (with jose) that a session has ended. One order a line, one answer a line.

import { createServer } from 'node:http';
import { SignJWT, createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { hear, say } from './lines.mjs';

const { issuer } = await hear();
const insecure = { execute: [oidc.allowInsecureRequests] }; // the server under test listens on loopback without TLS
const configs = new Map();

async function configOf({ client_id, secret }) {
  if (!configs.has(client_id)) {
    const method = secret ? oidc.ClientSecretBasic(secret) : oidc.None();
    configs.set(client_id, await oidc.discovery(new URL(issuer), client_id, {}, method, insecure));
  }
  return configs.get(client_id);
}

/** What came of a request: what it answered, or the error code with which it was refused. */
async function outcome(request) {
  try {
    return { tokens: await request };
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError) return { refused: error.error };
    throw error;
  }
}

// The other issuer: its key lives as long as this program.
const other = await generateKeyPair('ES256', { extractable: true });
const otherPublic = { ...(await exportJWK(other.publicKey)), kid: 'idp-1', alg: 'ES256', use: 'sig' };

// The client's ear for logout tokens.
const notices = [];
const waiting = [];
const ear = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    const notice = new URLSearchParams(body).get('logout_token');
    const next = waiting.shift();
    if (next) next(notice);
    else notices.push(notice);
    response.writeHead(200, { 'cache-control': 'no-store' }).end();
  });
});
await new Promise((ready) => ear.listen(0, '127.0.0.1', ready));

let device;
const orders = {
  about: () => ({ jwk: otherPublic, ear: `http://127.0.0.1:${ear.address().port}/bye` }),

  device: async ({ client, scope }) => {
    device = await oidc.initiateDeviceAuthorization(await configOf(client), { scope });
    const { user_code, verification_uri, verification_uri_complete, interval } = device;
    return { user_code, verification_uri, verification_uri_complete, interval };
  },
  poll: async ({ client }) => {
    const config = await configOf(client);
    const answer = await outcome(oidc.pollDeviceAuthorizationGrant(config, { ...device, interval: 1 }));
    if (answer.tokens) answer.claims = answer.tokens.claims();
    return answer;
  },

  register: async ({ metadata, token }) => {
    const options = { ...insecure, ...(token ? { initialAccessToken: token } : {}) };
    const made = await outcome(oidc.dynamicClientRegistration(new URL(issuer), metadata, undefined, options));
    if (made.refused) return made;
    const about = made.tokens.clientMetadata();
    configs.set(about.client_id, made.tokens);
    return { about };
  },

  grant: async ({ client, type, parameters }) =>
    outcome(oidc.genericGrantRequest(await configOf(client), type, parameters)),

  code: async ({ client, redirect_uri, scope }) => {
    const config = await configOf(client);
    const verifier = oidc.randomPKCECodeVerifier();
    const challenge = await oidc.calculatePKCECodeChallenge(verifier);
    const state = oidc.randomState();
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri, scope, state, code_challenge: challenge, code_challenge_method: 'S256',
    });
    say({ visit: url.href });
    const { arrived } = await hear();
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await oidc.authorizationCodeGrant(config, new URL(arrived), checks);
    return { tokens, claims: tokens.claims() };
  },

  assert: async ({ claims }) => {
    const header = { alg: 'ES256', kid: 'idp-1' };
    const assertion = new SignJWT(claims).setProtectedHeader(header).setIssuedAt().setExpirationTime('1m');
    return { assertion: await assertion.setJti(oidc.randomState()).sign(other.privateKey) };
  },

  notice: async ({ client }) => {
    const text = notices.shift() ?? (await new Promise((heard) => waiting.push(heard)));
    const config = await configOf(client);
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const audience = client.client_id;
    const verified = await jwtVerify(text, keys, { issuer, audience, typ: 'logout+jwt' });
    return { claims: verified.payload };
  },
};

say({ ready: true });
for (let order = await hear(); order; order = await hear()) {
  say(await orders[order.do](order));
}
process.exit(0);
