// What openid-client does beyond signing users in: it pushes and signs its requests, names resources, proves possession of a
// key, connects a device, registers itself, exchanges tokens, brings the word of another issuer, and hears (with jose) that
// a session has ended. One order a line, one answer a line.

import { createServer } from 'node:http';
import { SignJWT, createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { hear, say } from './lines.mjs';

const { issuer } = await hear();
const insecure = { execute: [oidc.allowInsecureRequests] }; // the server under test listens on loopback without TLS
const configs = new Map();

// The answers that brought a nonce for the next proof of possession: their statuses.
let nonces = [];

/** `signs` is the name of a key of this program by which the client authenticates and signs its requests. */
async function configOf({ client_id, secret, signs }) {
  if (!configs.has(client_id)) {
    let method = secret ? oidc.ClientSecretBasic(secret) : oidc.None();
    if (signs) method = oidc.PrivateKeyJwt(await signerOf(signs));
    const config = await oidc.discovery(new URL(issuer), client_id, {}, method, insecure);
    config[oidc.customFetch] = async (...request) => {
      const response = await fetch(...request);
      if (response.headers.has('dpop-nonce')) nonces.push(response.status);
      return response;
    };
    configs.set(client_id, config);
  }
  return configs.get(client_id);
}

/** What came of a request: what it answered, or the error code with which it was refused. */
async function outcome(request) {
  try {
    return { tokens: await request };
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError) {
      return { refused: error.error };
    }
    if (error instanceof oidc.WWWAuthenticateChallengeError) {
      const [{ scheme, parameters }] = error.cause;
      return { refused: parameters.error, scheme, status: error.status };
    }
    throw error;
  }
}

// Keys of this program by their names: those that sign requests, and those of which possession is proven.
const signers = new Map();
const holders = new Map();

/** The signing key of this name, which begins with its algorithm: `ES256 of the portal`. */
async function signerOf(name) {
  if (!signers.has(name)) {
    const alg = name.split(' ')[0];
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: name, alg, use: 'sig' };
    signers.set(name, { key: privateKey, kid: name, jwk });
  }
  return signers.get(name);
}

/** What a request is sent with: proofs of the key of this name, if one is named. */
async function proving(config, name) {
  if (!name) return {};
  if (!holders.has(name)) holders.set(name, await oidc.randomDPoPKeyPair('ES256'));
  return { DPoP: oidc.getDPoPHandle(config, holders.get(name)) };
}

/** Parameters in which resources may stand more than once. */
function parametersOf(parameters, resources = []) {
  const all = new URLSearchParams(parameters);
  for (const resource of resources) all.append('resource', resource);
  return all;
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

  device: async ({ client, scope, resources }) => {
    device = await oidc.initiateDeviceAuthorization(await configOf(client), parametersOf({ scope }, resources));
    const { user_code, verification_uri, verification_uri_complete, interval } = device;
    return { user_code, verification_uri, verification_uri_complete, interval };
  },
  poll: async ({ client, holder }) => {
    const config = await configOf(client);
    const options = await proving(config, holder);
    const answer = await outcome(oidc.pollDeviceAuthorizationGrant(config, { ...device, interval: 1 }, {}, options));
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

  key: async ({ name }) => ({ jwk: (await signerOf(name)).jwk }),

  /** The statuses of the answers that brought a nonce since this was asked last. */
  nonces: () => {
    const brought = nonces;
    nonces = [];
    return { brought };
  },

  grant: async ({ client, type, parameters, resources, holder }) => {
    const config = await configOf(client);
    const options = await proving(config, holder);
    return outcome(oidc.genericGrantRequest(config, type, parametersOf(parameters, resources), options));
  },

  /** A sign-in: pushed, signed, for resources, bound to the key of a holder (from the start, if `bind` says so). */
  code: async ({ client, redirect_uri, scope, resources, push, sign, holder, bind, redeemer = holder }) => {
    const config = await configOf(client);
    const options = await proving(config, holder);
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const asked = parametersOf({
      redirect_uri,
      scope,
      state,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }, resources);
    if (bind) asked.set('dpop_jkt', await options.DPoP.calculateThumbprint());
    const begin = async () => {
      const url = sign
        ? await oidc.buildAuthorizationUrlWithJAR(config, asked, await signerOf(sign))
        : oidc.buildAuthorizationUrl(config, asked);
      return push ? oidc.buildAuthorizationUrlWithPAR(config, url.searchParams, options) : url;
    };
    const begun = await outcome(begin());
    if (begun.refused) return begun;
    say({ visit: begun.tokens.href });
    const { arrived } = await hear();
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const proof = await proving(config, redeemer);
    const answer = await outcome(oidc.authorizationCodeGrant(config, new URL(arrived), checks, undefined, proof));
    if (answer.tokens) answer.claims = answer.tokens.claims();
    return answer;
  },

  refresh: async ({ client, token, resources, holder }) => {
    const config = await configOf(client);
    const options = await proving(config, holder);
    return outcome(oidc.refreshTokenGrant(config, token, parametersOf({}, resources), options));
  },

  userinfo: async ({ client, token, subject, holder }) => {
    const config = await configOf(client);
    const answer = await outcome(oidc.fetchUserInfo(config, token, subject, await proving(config, holder)));
    return answer.tokens ? { claims: answer.tokens } : answer;
  },

  /** A request to an interface that takes tokens. */
  call: async ({ client, token, url, holder }) => {
    const config = await configOf(client);
    const options = await proving(config, holder);
    const answer = await outcome(
      oidc.fetchProtectedResource(config, token, new URL(url), 'GET', undefined, undefined, options),
    );
    return answer.tokens ? { status: answer.tokens.status, body: await answer.tokens.json() } : answer;
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
