// A verifier of JSON Web Tokens made of jose. It hears the issuer and where its keys are, then one token a line, and says
// what each holds or why it is refused. The keys that it has fetched stay with it, as in a resource server.

import { createRemoteJWKSet, jwtVerify } from 'jose';
import { hear, say } from './lines.mjs';

const { issuer, jwks_uri } = await hear();
const keys = createRemoteJWKSet(new URL(jwks_uri));
say({ ready: true });

for (let question = await hear(); question; question = await hear()) {
  const { token, audience, typ } = question;
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience, typ });
    say({ header: protectedHeader, claims: payload });
  } catch (error) {
    say({ refused: error.code ?? String(error) });
  }
}
process.exit(0);
