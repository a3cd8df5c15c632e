/** Who may post to the webhook: whoever knows a secret, anybody where that is asked for, and by default nobody. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { CommercetoolsWebhookOptions } from '@companion/segment/commercetools/nestjs';

import {
  assertAnswer,
  assertSilent,
  customerCreated,
  DONE,
  refusedWith,
  startWebhook,
  TRAITS,
  usersOf,
} from './webhook-support.js';

const SECRET = 'a secret of the shop';
const UNAUTHORIZED = refusedWith('Unauthorized');
const FORBIDDEN = refusedWith('Forbidden');

const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString('base64')}`;

describe('a secret', () => {
  test('lets its sender in, and nobody else', async (t) => {
    const webhook = await startWebhook(t, { authentication: { secret: SECRET } });
    const post = (headers: Record<string, string>) => webhook.post(customerCreated(), headers);

    assertAnswer(await post({}), 401, UNAUTHORIZED);
    assertAnswer(await post({ authorization: SECRET }), 401, UNAUTHORIZED);
    for (const wrong of [
      '',
      'x',
      SECRET.slice(1),
      `${SECRET}x`,
      SECRET.toUpperCase(),
      `${SECRET}, ${SECRET}`,
    ]) {
      assertAnswer(await post({ 'x-webhook-secret': wrong }), 403, FORBIDDEN);
    }
    assert.equal(webhook.segment.requestCount, 0);
    assertAnswer(await post({ 'X-Webhook-Secret': SECRET }), 200, DONE);

    assert.deepEqual(usersOf(webhook), [TRAITS.email]);
    const { received, refused } = webhook.stats();
    assert.deepEqual([received, refused], [1, { 'credentials-missing': 2, 'credentials-wrong': 6 }]);
    const warnings = webhook.logger.of('Segment').filter(({ level }) => level === 'warn');
    assert.equal(warnings.length, 8);
    assert.equal(warnings[0]?.message, 'webhook request refused {"reason":"credentials-missing"}');
    assertSilent(webhook, SECRET);
  });

  test('may come in a header of its own', async (t) => {
    const webhook = await startWebhook(t, { authentication: { secret: SECRET, header: 'X-Shop-Token' } });
    const refused = await webhook.post(customerCreated(), { 'x-webhook-secret': SECRET });
    assertAnswer(refused, 401, UNAUTHORIZED);
    assert.equal(refused.headers.get('www-authenticate'), null);
    assertAnswer(await webhook.post(customerCreated(), { 'x-shop-token': SECRET }), 200, DONE);
  });

  test('is asked for before the body is looked at', async (t) => {
    const webhook = await startWebhook(t, { authentication: { secret: SECRET } });
    assertAnswer(await webhook.post('no notification'), 401, UNAUTHORIZED);
    const answer = await webhook.post('no notification', { 'x-webhook-secret': SECRET });
    assertAnswer(answer, 400, refusedWith('Invalid payload'));
  });
});

test('user and password let in who asks with them, after a challenge', async (t) => {
  const webhook = await startWebhook(t, {
    authentication: { basic: { username: 'shop', password: 'käse: ein Geheimnis' } },
  });
  const post = (headers: Record<string, string>) => webhook.post(customerCreated(), headers);

  const challenged = await post({});
  assertAnswer(challenged, 401, UNAUTHORIZED);
  // SNS sends its credentials only after this.
  assert.equal(challenged.headers.get('www-authenticate'), 'Basic realm="webhook"');
  for (const wrong of [
    basic('shop:käse'),
    basic('Shop:käse: ein Geheimnis'),
    basic(':käse: ein Geheimnis'),
    `Bearer ${Buffer.from('shop:käse: ein Geheimnis').toString('base64')}`,
    'Basic',
  ]) {
    assertAnswer(await post({ authorization: wrong }), 403, FORBIDDEN);
  }
  assert.equal(webhook.segment.requestCount, 0);
  assertAnswer(await post({ authorization: basic('shop:käse: ein Geheimnis') }), 200, DONE);
  assert.deepEqual(webhook.stats().refused, { 'credentials-missing': 1, 'credentials-wrong': 5 });
  assertSilent(webhook, 'Geheimnis', basic('shop:käse: ein Geheimnis'));
});

test("anybody is let in with 'none'", async (t) => {
  const webhook = await startWebhook(t, { authentication: 'none' });
  assertAnswer(await webhook.post(customerCreated()), 200, DONE);
  assert.deepEqual(usersOf(webhook), [TRAITS.email]);
});

describe('an application does not start', () => {
  const startWith = (t: Parameters<typeof startWebhook>[0], authentication: unknown) =>
    startWebhook(t, { authentication } as CommercetoolsWebhookOptions);

  test('without a word on who may post, and hears what to say', async (t) => {
    const message =
      'The option authentication must be one of { sns: { topicArns } }, { secret }, ' +
      "{ basic: { username, password } } or 'none'.";
    const error = { name: 'AnalyticsError', code: 'ERR_OPTION_INVALID', field: 'authentication', message };
    const twice = { secret: SECRET, basic: { username: 'shop', password: SECRET } };
    for (const authentication of [
      undefined,
      null,
      '',
      'None',
      SECRET,
      true,
      [],
      {},
      { token: SECRET },
      twice,
    ]) {
      await assert.rejects(startWith(t, authentication), error);
    }
  });

  test('with a secret that is none', async (t) => {
    const wrong: [authentication: object, field: string][] = [
      [{ secret: '' }, 'secret'],
      [{ secret: ' ' }, 'secret'],
      // From a file: it would arrive without the line's end.
      [{ secret: `${SECRET}\n` }, 'secret'],
      [{ secret: 'käse' }, 'secret'],
      [{ secret: 12_345 }, 'secret'],
      [{ secret: SECRET, header: '' }, 'header'],
      [{ secret: SECRET, header: 'x webhook secret' }, 'header'],
      [{ basic: {} }, 'basic'],
      [{ basic: 'shop:secret' }, 'basic'],
      [{ basic: { username: 'shop', password: '' } }, 'basic'],
      [{ basic: { username: 'shop:1', password: SECRET } }, 'basic'],
    ];
    for (const [authentication, field] of wrong) {
      const code = 'ERR_OPTION_INVALID';
      await assert.rejects(startWith(t, authentication), (error: Record<string, unknown>) => {
        assert.deepEqual([error['code'], error['field']], [code, `authentication.${field}`]);
        assert.ok(!String(error['message']).includes(SECRET));
        return true;
      });
    }
  });

  test('with topics that are none', async (t) => {
    for (const sns of [{}, { topicArns: [] }, { topicArns: [''] }, { topicArns: [undefined] }, []]) {
      await assert.rejects(startWith(t, { sns }), {
        code: 'ERR_OPTION_INVALID',
        message: 'The option topicArns must be a list of the ARNs of your topics.',
      });
    }
  });

  test('with other options that can not work', async (t) => {
    for (const callTimeout of [0, NaN, '5s', 2 ** 31]) {
      const options = { authentication: 'none', callTimeout } as CommercetoolsWebhookOptions;
      await assert.rejects(startWebhook(t, options), { field: 'callTimeout' });
    }
    for (const [field, value] of Object.entries({
      userId: 'name',
      mapTraits: 'all',
      resolveCustomer: {},
      logger: 'console',
    })) {
      const options = { authentication: 'none', [field]: value } as unknown as CommercetoolsWebhookOptions;
      await assert.rejects(startWebhook(t, options), { code: 'ERR_OPTION_INVALID', field });
    }
  });
});
