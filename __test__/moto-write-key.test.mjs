/** The write key of a function, from Secrets Manager and from Systems Manager. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import { CreateSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { PutParameterCommand } from '@aws-sdk/client-ssm';

import { startSegment } from './support/clients.mjs';
import { LambdaFunction } from './support/moto-lambda.mjs';
import { startMoto } from './support/moto.mjs';
import { message } from './support/notifications.mjs';

const KEY = 'planted-write-key-5e1c';
const EVENT = {
  Records: [
    {
      EventSource: 'aws:sns',
      EventVersion: '1.0',
      Sns: {
        Type: 'Notification',
        MessageId: 'a1f0c1c8-5c3e-5f0a-9d57-97f3a2b5c1d0',
        TopicArn: 'arn:aws:sns:eu-central-1:123456789012:commercetools-webhook-test',
        Message: JSON.stringify(message('CustomerCreated')),
      },
    },
  ],
};
const IDENTIFIED = { identified: 1, ignored: 0, invalid: 0, failed: 0 };

const moto = await startMoto(after);

/** A function that finds its key as these variables say, and a Segment that takes no other key. */
async function start(t, variables, credentials) {
  const segment = await startSegment(t, { writeKeys: [KEY] });
  const env = { ...moto.environment(credentials), SEGMENT_HOST: segment.url, ...variables };
  return { segment, lambda: new LambdaFunction(t, { handler: 'sns', env }) };
}

async function createSecret(name, text) {
  const { ARN: arn } = await moto.secrets.send(new CreateSecretCommand({ Name: name, SecretString: text }));
  return arn;
}

const putSecret = (arn, text) =>
  moto.secrets.send(new PutSecretValueCommand({ SecretId: arn, SecretString: text }));

const putParameter = (name, value) =>
  moto.parameters.send(new PutParameterCommand({ Name: name, Value: value, Type: 'SecureString' }));

/** The customer is in Segment, and came with the right key. */
async function assertIdentified({ segment, lambda }, count = 1) {
  assert.deepEqual((await lambda.invoke(EVENT)).payload, IDENTIFIED);
  assert.equal(segment.eventCount, count);
  const { auth, authorized } = segment.requests.at(-1);
  assert.deepEqual({ auth, authorized }, { auth: 'basic', authorized: true });
}

/** The invocation fails with an error that says why, and nothing is sent. */
async function assertFails({ segment, lambda }, why) {
  const { functionError } = await lambda.invoke(EVENT);
  assert.equal(functionError.errorType, 'AnalyticsError');
  assert.match(functionError.errorMessage, /^1 of 1 records could not be delivered: /);
  assert.match(functionError.errorMessage, why);
  assert.equal(segment.requestCount, 0);
  assertHidden(JSON.stringify(functionError));
}

/** At the end: the log says why it did not work, if it did not, and shows no secret. */
async function assertLogged({ lambda }, why = /customer identified/) {
  const log = await lambda.log();
  assert.match(log, why);
  assertHidden(log);
}

/** All that is planted, and the customer. */
function assertHidden(text) {
  assert.doesNotMatch(text, /planted/);
  assert.ok(!text.includes('ann.lee@example.com'));
}

describe('Secrets Manager', () => {
  for (const [what, name, text, variables] of [
    ['the secret', 'plain', KEY, {}],
    [
      'a field of it',
      'fields',
      `{"user":"planted","key":"${KEY}"}`,
      { SEGMENT_WRITE_KEY_SECRET_FIELD: 'key' },
    ],
  ]) {
    test(`${what} is the key`, async (t) => {
      const arn = await createSecret(name, text);
      const setup = await start(t, { SEGMENT_WRITE_KEY_SECRET_ARN: arn, ...variables });
      await assertIdentified(setup);
      await assertLogged(setup);
    });
  }

  test('another key than that of the secret is not made up', async (t) => {
    const arn = await createSecret('wrong', 'planted-wrong-key');
    const setup = await start(t, { SEGMENT_WRITE_KEY_SECRET_ARN: arn });
    const { functionError } = await setup.lambda.invoke(EVENT);
    assert.match(functionError.errorMessage, /401 Unauthorized/);
    assert.equal(setup.segment.requests[0].authorized, false);
    await assertLogged(setup, /401 Unauthorized/);
  });

  test('the variable with the key itself goes before the secret', async (t) => {
    const setup = await start(t, { SEGMENT_WRITE_KEY: KEY, SEGMENT_WRITE_KEY_SECRET_ARN: 'nowhere' });
    await assertIdentified(setup);
    await assertLogged(setup);
  });

  test('without the secret every invocation fails; once it is there the next one works', async (t) => {
    const setup = await start(t, { SEGMENT_WRITE_KEY_SECRET_ARN: 'later' });
    await assertFails(setup, /ResourceNotFoundException/);
    await assertFails(setup, /ResourceNotFoundException/);
    await createSecret('later', KEY);
    await assertIdentified(setup);
    await assertLogged(setup, /ResourceNotFoundException/);
  });

  const noField = /The secret is no JSON object with the text key \(SEGMENT_WRITE_KEY_SECRET_FIELD\)/;
  for (const [what, text, why] of [
    ['no such field', JSON.stringify({ user: 'planted-other' }), noField],
    ['a field that is no text', JSON.stringify({ key: { inner: 'planted-other' } }), noField],
    ['no JSON in it', '{ "key": "planted-other" ', noField],
    ['no object in it', 'null', noField],
    ['an empty field', JSON.stringify({ key: ' ' }), /Write key cannot be empty/],
  ]) {
    test(`a secret with ${what} is told of, and not shown; once it is right the next one works`, async (t) => {
      const arn = await createSecret(what.replaceAll(' ', '-'), text);
      const setup = await start(t, {
        SEGMENT_WRITE_KEY_SECRET_ARN: arn,
        SEGMENT_WRITE_KEY_SECRET_FIELD: 'key',
      });
      await assertFails(setup, why);
      await putSecret(arn, JSON.stringify({ key: KEY }));
      await assertIdentified(setup);
      await assertLogged(setup, why);
    });
  }

  test('a function that may not read the secret says so; once it may the next one works', async (t) => {
    const arn = await createSecret('forbidden', KEY);
    const { credentials, grant } = await moto.createUser('function');
    const setup = await start(t, { SEGMENT_WRITE_KEY_SECRET_ARN: arn }, credentials);
    t.after(() => moto.checkPermissions(false));
    await moto.checkPermissions(true);
    await assertFails(setup, /AccessDeniedException/);
    await moto.checkPermissions(false);
    await grant('secretsmanager:GetSecretValue');
    await moto.checkPermissions(true);
    await assertIdentified(setup);
    await assertLogged(setup, /AccessDeniedException/);
    assert.ok(!(await setup.lambda.log()).includes(credentials.secretAccessKey));
  });

  test('an AWS that is not there is told of', async (t) => {
    const nowhere = await startSegment(t);
    await nowhere.close();
    const setup = await start(t, {
      SEGMENT_WRITE_KEY_SECRET_ARN: 'any',
      AWS_ENDPOINT_URL: nowhere.url,
    });
    await assertFails(setup, /can't be read from SEGMENT_WRITE_KEY_SECRET_ARN: ECONNREFUSED/);
  });

  test('the key is kept', async (t) => {
    const arn = await createSecret('kept', KEY);
    const setup = await start(t, { SEGMENT_WRITE_KEY_SECRET_ARN: arn });
    await assertIdentified(setup);
    await putSecret(arn, 'planted-new-key');
    await assertIdentified(setup, 2);
    await assertLogged(setup);
  });
});

describe('Systems Manager', () => {
  test('the parameter is decrypted', async (t) => {
    await putParameter('/segment/write-key', KEY);
    const setup = await start(t, { SEGMENT_WRITE_KEY_PARAMETER: '/segment/write-key' });
    await assertIdentified(setup);
    await assertLogged(setup);
  });

  test('without the parameter every invocation fails; once it is there the next one works', async (t) => {
    const setup = await start(t, { SEGMENT_WRITE_KEY_PARAMETER: '/segment/later' });
    await assertFails(setup, /ParameterNotFound/);
    await putParameter('/segment/later', KEY);
    await assertIdentified(setup);
    await assertLogged(setup, /ParameterNotFound/);
  });

  test('empty variables are none', async (t) => {
    await putParameter('/segment/other', KEY);
    const empty = { SEGMENT_WRITE_KEY: '', SEGMENT_WRITE_KEY_SECRET_ARN: '' };
    const setup = await start(t, { ...empty, SEGMENT_WRITE_KEY_PARAMETER: '/segment/other' });
    await assertIdentified(setup);
  });
});

test('no variable at all is told of', async (t) => {
  const setup = await start(t, {});
  await assertFails(setup, /Missing SEGMENT_WRITE_KEY/);
  await assertLogged(setup, /Missing SEGMENT_WRITE_KEY/);
});
