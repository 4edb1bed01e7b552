// The OpenID provider of test_openid_provider.py: node openid_provider.mjs PORT FOLDER KEYS AUDIENCE
//
// KEYS are names, separated by commas. The provider publishes the keys of all names, and signs with the first. FOLDER
// keeps the keys, so that they survive a restart. `/asked` counts the requests at the userinfo endpoint by subject.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [port, folder, names, audience] = process.argv.slice(2);
const { Provider } = createRequire(join(folder, 'package.json'))('oidc-provider');

// An RSA key without `alg` signs with RS256 and PS256.
const TYPES = { RS256: 'RSA', PS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' };
const generated = {
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EC: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  OKP: () => generateKeyPairSync('ed25519'),
};

function keysOf(name) {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) {
    const keys = Object.entries(generated).map(([type, generate]) => (
      { ...generate().privateKey.export({ format: 'jwk' }), kid: `${name}-${type}`, use: 'sig' }
    ));
    writeFileSync(path, JSON.stringify(keys));
  }
  return JSON.parse(readFileSync(path));
}

// A resource is `AUDIENCE/ALGORITHM/CLAIM`: how the access token is signed, and the claim that holds its scopes.
const partsOf = (resource) => resource.slice(audience.length + 1).split('/');
const client = { client_secret: 'its-secret', redirect_uris: [`http://127.0.0.1:${port}/code`], application_type: 'native' };
const person = (id) => ({ name: id, email: `${id}@example.com`, email_verified: true });
const asked = {};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: names.split(',').flatMap(keysOf) },
  cookies: { keys: ['a key of cookies'] },
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  clients: [
    { ...client, client_id: 'shop' },
    { ...client, client_id: audience },
    {
      client_id: 'machine',
      client_secret: 'its-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...person(id) }) }),
  extraTokenClaims: (_, token) => (token.accountId === 'ada' ? person('ada') : undefined),
  formats: {
    customizers: {
      jwt(_, token, { payload }) {
        const [, claim] = partsOf(token.resourceServer.identifier());
        if (claim) {
          const scopes = payload.scope.split(' ');
          delete payload.scope;
          payload[claim] = claim === 'scp' ? scopes.join(' ') : scopes;
        }
      },
    },
  },
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_, resource) {
        const [alg] = partsOf(resource);
        const kid = `${names.split(',')[0]}-${TYPES[alg]}`;
        return { scope: 'read admin Shop.Admin', audience, accessTokenFormat: 'jwt', jwt: { sign: { alg, kid } } };
      },
    },
  },
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/asked') {
    ctx.body = asked;
    return;
  }
  if (ctx.path === '/me') {
    const token = ctx.get('Authorization').split(' ')[1];
    const { sub, client_id } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    asked[sub] = (asked[sub] ?? 0) + 1;
    if (sub === 'grace') {
      // This provider refuses access tokens for other services here. Others, such as Auth0, accept them.
      const grant = new provider.Grant({ accountId: sub, clientId: client_id });
      grant.addOIDCScope('openid profile email');
      const rights = { accountId: sub, grantId: await grant.save(), scope: 'openid profile email' };
      const own = new provider.AccessToken({ ...rights, client: await provider.Client.find(client_id) });
      ctx.req.headers.authorization = `Bearer ${await own.save()}`;
    }
  }
  await next();
});
provider.listen(Number(port), '127.0.0.1');
