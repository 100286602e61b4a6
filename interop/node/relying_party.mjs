// A relying party made of openid-client. It hears how it is registered, says which address the browser should visit, hears
// where the browser arrived, and in the end says what it learned.

import { importJWK } from 'jose';
import * as oidc from 'openid-client';
import { hear, say } from './lines.mjs';

const registration = await hear();
const { client_id, redirect_uri, post_logout_redirect_uri, scope } = registration;

async function authentication() {
  switch (registration.auth_method) {
    case 'none':
      return oidc.None();
    case 'client_secret_basic':
      return oidc.ClientSecretBasic(registration.secret);
    case 'client_secret_post':
      return oidc.ClientSecretPost(registration.secret);
    case 'private_key_jwt': {
      const { kid, alg } = registration.private_jwk;
      return oidc.PrivateKeyJwt({ key: await importJWK(registration.private_jwk, alg), kid });
    }
    default:
      throw new Error(`unknown method ${registration.auth_method}`);
  }
}

async function visit(url) {
  say({ visit: url.href });
  return new URL((await hear()).arrived);
}

/** The error code with which a request was refused, or null when it was not. */
async function refusal(request) {
  try {
    await request;
    return null;
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError) return error.error;
    if (error instanceof oidc.WWWAuthenticateChallengeError) return error.cause[0].parameters.error ?? 'challenge';
    throw error;
  }
}

const config = await oidc.discovery(new URL(registration.issuer), client_id, {}, await authentication(), {
  execute: [oidc.allowInsecureRequests], // the server under test listens on loopback without TLS
});
oidc.enableNonRepudiationChecks(config);

const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
const expectedState = oidc.randomState();
const expectedNonce = oidc.randomNonce();
const authorization = oidc.buildAuthorizationUrl(config, {
  redirect_uri,
  scope,
  code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
  state: expectedState,
  nonce: expectedNonce,
});
const answer = await visit(authorization);
const tokens = await oidc.authorizationCodeGrant(config, answer, {
  pkceCodeVerifier,
  expectedState,
  expectedNonce,
  idTokenExpected: true,
});
const claims = tokens.claims();
const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);

const isPublic = registration.auth_method === 'none';
const introspect = () => oidc.tokenIntrospection(config, refreshed.access_token);
const introspection = isPublic ? { refused: await refusal(introspect()) } : await introspect();

await oidc.tokenRevocation(config, refreshed.refresh_token, { token_type_hint: 'refresh_token' });
const after_revocation = {
  refresh: await refusal(oidc.refreshTokenGrant(config, refreshed.refresh_token)),
  userinfo: await refusal(oidc.fetchUserInfo(config, refreshed.access_token, claims.sub)),
  introspection: isPublic ? null : await introspect(),
};

const logoutState = oidc.randomState();
const farewell = await visit(
  oidc.buildEndSessionUrl(config, { post_logout_redirect_uri, id_token_hint: tokens.id_token, state: logoutState }),
);

say({
  claims,
  userinfo,
  introspection,
  after_revocation,
  rotated: refreshed.refresh_token !== tokens.refresh_token,
  farewell_state_matches: farewell.searchParams.get('state') === logoutState,
});
process.exit(0);
