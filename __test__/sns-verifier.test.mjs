import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { SnsVerifier } from '@companion/segment/commercetools';

import { issue } from './support/certificates.mjs';
import { CERTIFICATE_URL, SnsTopic, SUBSCRIBE_URL, TOPIC_ARN } from './support/sns.mjs';

const HOUR_MS = 3_600_000;

/** One for all tests: making its key takes its time. */
const topic = new SnsTopic();

/** A verifier with a clock of its own, and what it fetches. */
function verifierOf({ pem = topic.certificate.pem, ...options } = {}) {
  const clock = { now: Date.now() };
  const fetched = [];
  const verifier = new SnsVerifier({
    topicArns: [TOPIC_ARN],
    certificateAuthorities: [topic.authority.pem],
    fetchBytes: async (url) => {
      fetched.push(url);
      return pem;
    },
    now: () => clock.now,
    ...options,
  });
  return { verifier, clock, fetched };
}

async function assertPasses(message, options) {
  const { verifier } = verifierOf(options);
  assert.deepEqual(await verifier.verify(message), {
    SubscribeURL: undefined,
    ...message,
    SigningCertURL: CERTIFICATE_URL,
  });
}

async function assertRefused(message, reason, options) {
  const { verifier, fetched } = verifierOf(options);
  assert.equal(await verifier.verify(message), reason, JSON.stringify(message));
  return fetched;
}

const at = (milliseconds) => ({ Timestamp: new Date(milliseconds).toISOString() });
const without = (message, name) =>
  Object.fromEntries(Object.entries(message).filter(([key]) => key !== name));

describe('genuine messages pass', () => {
  test('notifications, with a subject and without', async () => {
    await assertPasses(topic.notification('{"a":1}'));
    await assertPasses(topic.notification('{"a":1}', { Subject: 'A customer' }));
    await assertPasses(topic.notification('{"a":1}', { Subject: null }));
    await assertPasses(topic.notification('a\nb\r\n"ü" \u{1f600}', { Subject: 'Message\nMessageId' }));
  });

  test('confirmations, whose other members are signed', async () => {
    await assertPasses(topic.confirmation());
    await assertPasses(topic.confirmation({ Type: 'UnsubscribeConfirmation' }));
  });

  test('in either spelling of URL', async () => {
    const { SigningCertURL, ...message } = topic.notification('{}');
    await assertPasses({ ...message, SigningCertUrl: SigningCertURL });
    const { SubscribeURL, ...confirmation } = topic.confirmation();
    const { verifier } = verifierOf();
    const verified = await verifier.verify({ ...confirmation, SubscribeUrl: SubscribeURL });
    assert.equal(verified.SubscribeURL, SUBSCRIBE_URL);
    assert.equal(await verifier.confirm(verified), true);
  });

  test('of each topic that may send', async () => {
    const other = `${TOPIC_ARN}-2.fifo`;
    const topicArns = [TOPIC_ARN, other];
    await assertPasses(topic.notification('{}'), { topicArns });
    await assertPasses(topic.notification('{}', { TopicArn: other }), { topicArns });
  });

  test('with signatures of version 1 where they are asked for', async () => {
    const message = topic.notification('{}', { SignatureVersion: '1' });
    await assertRefused(message, 'signature-version');
    await assertRefused(message, 'signature-version', { signatureVersions: ['2'] });
    await assertPasses(message, { signatureVersions: ['1', '2'] });
    await assertRefused(topic.notification('{}'), 'signature-version', { signatureVersions: ['1'] });
  });
});

describe('refused before anything is fetched', () => {
  test('what is no message', async () => {
    for (const nothing of [undefined, null, '', '{}', 1, true, [], {}, [topic.notification('{}')]]) {
      assert.deepEqual(await assertRefused(nothing, 'malformed'), []);
    }
  });

  test('a message of which a member is missing or no text', async () => {
    const members = ['Message', 'MessageId', 'Signature', 'SignatureVersion', 'SigningCertURL'];
    const common = [...members, 'Timestamp', 'TopicArn', 'Type'];
    for (const [message, names] of [
      [topic.notification('{}'), common],
      [topic.confirmation(), [...common, 'SubscribeURL', 'Token']],
      [topic.confirmation({ Type: 'UnsubscribeConfirmation' }), [...common, 'SubscribeURL', 'Token']],
    ]) {
      for (const name of names) {
        await assertRefused(without(message, name), 'malformed');
        for (const value of [null, 2, true, ['2'], { text: '2' }]) {
          assert.deepEqual(await assertRefused({ ...message, [name]: value }, 'malformed'), []);
        }
      }
    }
    for (const Subject of [1, false, ['A customer'], {}]) {
      await assertRefused({ ...topic.notification('{}'), Subject }, 'malformed');
    }
    for (const Type of ['', 'notification', 'Notification ', 'Other', '__proto__']) {
      await assertRefused({ ...topic.confirmation(), Type }, 'malformed');
    }
  });

  test('foreign topics, however well their messages are signed', async () => {
    for (const TopicArn of [
      '',
      `${TOPIC_ARN}2`,
      TOPIC_ARN.slice(0, -1),
      TOPIC_ARN.toUpperCase(),
      TOPIC_ARN.replace('123456789012', '210987654321'),
      TOPIC_ARN.replace('eu-central-1', 'us-east-1'),
      `${TOPIC_ARN}:1`,
    ]) {
      assert.deepEqual(await assertRefused(topic.notification('{}', { TopicArn }), 'foreign-topic'), []);
    }
  });

  test('unknown versions of signatures', async () => {
    for (const SignatureVersion of ['', '0', '3', '02', ' 2', 'constructor']) {
      await assertRefused(topic.notification('{}', { SignatureVersion }), 'signature-version');
    }
  });

  test('certificates that are not where SNS has its own', async () => {
    for (const SigningCertURL of [
      '',
      'a.pem',
      '//sns.eu-central-1.amazonaws.com/a.pem',
      'http://sns.eu-central-1.amazonaws.com/a.pem',
      'ftp://sns.eu-central-1.amazonaws.com/a.pem',
      'https://evil.test/a.pem',
      'https://evil.test/sns.eu-central-1.amazonaws.com/a.pem',
      'https://evil.test#.sns.eu-central-1.amazonaws.com/a.pem',
      'https://sns.eu-central-1.amazonaws.com.evil.test/a.pem',
      'https://sns.eu-central-1.amazonaws.com.cn.evil.test/a.pem',
      'https://sns.eu-central-1.amazonaws.com@evil.test/a.pem',
      'https://evil.test\\@sns.eu-central-1.amazonaws.com/a.pem',
      'https://user@sns.eu-central-1.amazonaws.com/a.pem',
      'https://:password@sns.eu-central-1.amazonaws.com/a.pem',
      'https://sns.eu-central-1.amazonaws.com:443/a.pem',
      'https://sns.eu-central-1.amazonaws.com:8443/a.pem',
      'https://sns.eu-central-1.evil.amazonaws.com/a.pem',
      'https://evil.sns.eu-central-1.amazonaws.com/a.pem',
      'https://snsxeu-central-1xamazonawsxcom/a.pem',
      'https://s3.eu-central-1.amazonaws.com/a.pem',
      'https://sns.amazonaws.com/a.pem',
      'https://sns..amazonaws.com/a.pem',
      'https://sns.us-east-1.amazonaws.com/a.pem',
      'https://SNS.eu-central-1.amazonaws.com/a.pem',
      'HTTPS://sns.eu-central-1.amazonaws.com/a.pem',
      'https://sns.eu-central-1.amazonaws.com/a.PEM',
      'https://sns.eu-central-1.amazonaws.com/a',
      'https://sns.eu-central-1.amazonaws.com/.pem',
      'https://sns.eu-central-1.amazonaws.com/a.pem.txt',
      'https://sns.eu-central-1.amazonaws.com/a.pem?b',
      'https://sns.eu-central-1.amazonaws.com/?Action=GetTopicAttributes&TopicArn=a.pem',
      'https://sns.eu-central-1.amazonaws.com/a.pem#b',
      'https://sns.eu-central-1.amazonaws.com/#a.pem',
      'https://sns.eu-central-1.amazonaws.com/a/../b.pem',
      ' https://sns.eu-central-1.amazonaws.com/a.pem',
      'https://sns.eu-central-1.amazonaws.com/a.pem\n',
    ]) {
      const message = topic.notification('{}', { SigningCertURL });
      assert.deepEqual(await assertRefused(message, 'certificate-url'), []);
    }
  });

  test('messages that are too old, or from the future', async () => {
    const { verifier, clock, fetched } = verifierOf();
    for (const age of [HOUR_MS + 1, -HOUR_MS - 1, 100 * 24 * HOUR_MS]) {
      const message = topic.notification('{}', at(clock.now - age));
      assert.equal(await verifier.verify(message), 'expired');
    }
    for (const Timestamp of ['', 'yesterday', '2026-13-01T00:00:00Z']) {
      assert.equal(await verifier.verify(topic.notification('{}', { Timestamp })), 'expired');
    }
    assert.deepEqual(fetched, []);
    for (const age of [HOUR_MS, -HOUR_MS]) {
      const message = topic.notification('{}', at(clock.now - age));
      assert.equal((await verifier.verify(message)).MessageId, message.MessageId);
    }
  });

  test('messages that are older than they may be', async () => {
    const { verifier, clock } = verifierOf({ maxAge: 1_000 });
    const message = topic.notification('{}', at(clock.now));
    clock.now += 1_001;
    assert.equal(await verifier.verify(message), 'expired');
    clock.now -= 1;
    assert.equal((await verifier.verify(message)).MessageId, message.MessageId);
  });
});

describe('the signature', () => {
  test('covers each member that it has to', async () => {
    const notification = topic.notification('{"a":1}', { Subject: 'A customer' });
    const confirmation = topic.confirmation();
    const topicArns = [TOPIC_ARN, `${TOPIC_ARN}-2`];
    const later = at(Date.parse(notification.Timestamp) + 60_000).Timestamp;
    for (const changes of [
      { Message: '{"a":2}' },
      { MessageId: 'another' },
      { Subject: 'Another' },
      { Subject: null },
      { Timestamp: later },
      { TopicArn: topicArns[1] },
    ]) {
      await assertRefused({ ...notification, ...changes }, 'signature', { topicArns });
    }
    await assertRefused({ ...topic.notification('{}'), Subject: 'Another' }, 'signature');
    for (const changes of [
      { Message: 'Another' },
      { MessageId: 'another' },
      { SubscribeURL: `${SUBSCRIBE_URL}2` },
      { Timestamp: later },
      { Token: 'another' },
      { TopicArn: topicArns[1] },
      { Type: 'UnsubscribeConfirmation' },
      { Type: 'Notification' },
    ]) {
      await assertRefused({ ...confirmation, ...changes }, 'signature', { topicArns });
    }
  });

  test('is whole, and of the certificate and version that the message names', async () => {
    const message = topic.notification('{}');
    const { Signature } = message;
    const older = topic.notification('{}', { SignatureVersion: '1' });
    for (const forged of [
      '',
      'forged',
      '%%%%',
      Signature.slice(0, -8),
      Signature.slice(8),
      Buffer.from(Signature, 'base64').toString('hex'),
      topic.notification('{}').Signature,
      older.Signature,
    ]) {
      await assertRefused({ ...message, Signature: forged }, 'signature');
    }
    await assertRefused({ ...older, SignatureVersion: '2' }, 'signature');
    const { pem } = issue('sns.amazonaws.com', { issuer: topic.authority });
    await assertRefused(message, 'signature', { pem });
  });
});

describe('replays', () => {
  test('are refused for as long as the message would be fresh', async () => {
    const { verifier, clock } = verifierOf();
    const message = topic.notification('{}', { ...at(clock.now) });
    const other = topic.notification('{}', { ...at(clock.now) });
    assert.equal(typeof (await verifier.verify(message)), 'object');
    assert.equal(await verifier.verify(message), 'replayed');
    assert.equal(await verifier.verify({ ...message, UnsubscribeURL: 'another' }), 'replayed');
    assert.equal(typeof (await verifier.verify(other)), 'object');
    clock.now += HOUR_MS;
    assert.equal(await verifier.verify(message), 'replayed');
    clock.now += 1;
    assert.equal(await verifier.verify(message), 'expired');
  });

  test('of a message from the future, too', async () => {
    const { verifier, clock } = verifierOf();
    const message = topic.notification('{}', at(clock.now + HOUR_MS));
    assert.equal(typeof (await verifier.verify(message)), 'object');
    clock.now += HOUR_MS + 1;
    // Whatever passes meanwhile.
    assert.equal(typeof (await verifier.verify(topic.notification('{}', at(clock.now)))), 'object');
    clock.now += HOUR_MS - 1;
    assert.equal(await verifier.verify(message), 'replayed');
  });

  test('pass after forget()', async () => {
    const { verifier } = verifierOf();
    for (const message of [topic.notification('{}'), topic.confirmation()]) {
      const verified = await verifier.verify(message);
      assert.equal(await verifier.verify(message), 'replayed');
      verifier.forget(verified);
      assert.equal(typeof (await verifier.verify(message)), 'object');
      assert.equal(await verifier.verify(message), 'replayed');
    }
  });

  test('at the same time: one passes', async () => {
    const { verifier } = verifierOf();
    const message = topic.notification('{}');
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => verifier.verify(message)));
    assert.deepEqual(verdicts.slice(1), Array(4).fill('replayed'));
    assert.equal(verdicts[0].MessageId, message.MessageId);
  });

  test('are not made by what was refused', async () => {
    const { verifier } = verifierOf();
    const message = topic.notification('{}');
    assert.equal(await verifier.verify({ ...message, Signature: 'forged' }), 'signature');
    assert.equal(typeof (await verifier.verify(message)), 'object');
  });

  test('are told among so many messages, and no more', async () => {
    const { verifier } = verifierOf({ maxRemembered: 2 });
    const [first, second, third] = ['1', '2', '3'].map((text) => topic.notification(text));
    for (const message of [first, second, third]) {
      assert.equal(typeof (await verifier.verify(message)), 'object');
    }
    assert.equal(await verifier.verify(third), 'replayed');
    assert.equal(await verifier.verify(second), 'replayed');
    assert.equal(typeof (await verifier.verify(first)), 'object');
  });
});

test('options that can not work are refused', () => {
  for (const [field, values] of Object.entries({
    topicArns: [
      undefined,
      null,
      '',
      TOPIC_ARN,
      [],
      [''],
      [undefined],
      [TOPIC_ARN, 'customers'],
      [`${TOPIC_ARN}\n`],
    ],
    signatureVersions: [null, [], '2', ['3'], [2], ['2', 'toString']],
    maxAge: [null, 0, -1, NaN, '1h'],
    maxRemembered: [null, 0, NaN, '1'],
    certificateAuthorities: [
      null,
      [],
      '',
      topic.authority.pem,
      ['no certificate'],
      [topic.authority.pem, ''],
    ],
  })) {
    for (const value of values) {
      const make = () => new SnsVerifier({ topicArns: [TOPIC_ARN], [field]: value });
      const error = { name: 'AnalyticsError', code: 'ERR_OPTION_INVALID', field };
      assert.throws(make, error, `${field}: ${JSON.stringify(value)}`);
    }
  }
  assert.throws(() => new SnsVerifier({}), { field: 'topicArns' });
});
