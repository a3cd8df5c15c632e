import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { SnsVerifier } from '@companion/segment/commercetools';

import { issue } from './support/certificates.mjs';
import { CERTIFICATE_URL, SnsTopic, SUBSCRIBE_URL, TOPIC_ARN } from './support/sns.mjs';

const DAY_MS = 86_400_000;
const PUBLISHED = 'http://crt.r2m01.amazontrust.com/r2m01.cer';

/** One for all tests: making its key takes its time. */
const topic = new SnsTopic();
const { authority } = topic;
const { privateKey } = topic.certificate;

/** A certificate over the key that signs: whether it is trusted is a matter of its issuer alone. */
const certificateOf = (options, name = 'sns.amazonaws.com') =>
  issue(name, { issuer: authority, privateKey, ...options });

const intermediateOf = (issuer, options) => issue('Between', { issuer, isAuthority: true, ...options });

/** A verifier that finds `files` by URL, and what it asked for. */
function verifierOf(files, options) {
  const clock = { now: Date.now() };
  const fetched = [];
  const verifier = new SnsVerifier({
    topicArns: [TOPIC_ARN],
    certificateAuthorities: [authority.pem],
    fetchBytes: async (url) => {
      fetched.push(url);
      if (files[url] === undefined) throw new Error('not found');
      return files[url];
    },
    now: () => clock.now,
    ...options,
  });
  return { verifier, clock, fetched };
}

/** `passes`, or why a message with this certificate is refused. */
async function verdictOn(pem, more = {}, options = {}) {
  const { verifier, fetched } = verifierOf({ [CERTIFICATE_URL]: pem, ...more }, options);
  const verified = await verifier.verify(topic.notification('{}'));
  return { verdict: typeof verified === 'string' ? verified : 'passes', fetched };
}

async function assertVerdict(expected, ...given) {
  const { verdict, fetched } = await verdictOn(...given);
  assert.equal(verdict, expected);
  return fetched;
}

describe('a certificate is trusted', () => {
  test('from an authority that is trusted, as text or bytes', async () => {
    const { pem } = certificateOf();
    await assertVerdict('passes', pem);
    await assertVerdict('passes', Buffer.from(pem));
    await assertVerdict('passes', new Uint8Array(Buffer.from(pem)));
    const bundle = [`${issue('Other', { isAuthority: true }).pem}\n${authority.pem}`];
    await assertVerdict('passes', pem, {}, { certificateAuthorities: bundle });
  });

  test('through authorities that come with it, in any order', async () => {
    const first = intermediateOf(authority);
    const second = issue('Between the two', { issuer: first, isAuthority: true });
    const { pem } = certificateOf({ issuer: second });
    await assertVerdict('passes', pem + second.pem + first.pem);
    await assertVerdict('passes', `${pem}\n${first.pem}\ntext\n${second.pem}${authority.pem}`);
    await assertVerdict('certificate', pem + first.pem);
    await assertVerdict('certificate', pem + second.pem);
    await assertVerdict('passes', pem, {}, { certificateAuthorities: [second.pem] });
  });

  test('through authorities that Amazon publishes', async () => {
    const between = intermediateOf(authority);
    const { pem } = certificateOf({ issuer: between, issuerUrl: PUBLISHED });
    for (const published of [between.der, between.pem]) {
      const fetched = await assertVerdict('passes', pem, { [PUBLISHED]: published });
      assert.deepEqual(fetched, [CERTIFICATE_URL, PUBLISHED]);
    }
    await assertVerdict('certificate-unavailable', pem);
    await assertVerdict('certificate', pem, { [PUBLISHED]: 'garbage' });
    await assertVerdict('certificate', pem, { [PUBLISHED]: intermediateOf(authority).der });
  });

  test('issued to SNS, or to SNS in the region of the topic', async () => {
    for (const name of [
      'sns.amazonaws.com',
      'sns.eu-central-1.amazonaws.com',
      'sns-signing.eu-central-1.amazonaws.com',
      'sns-eu-central-1.amazonaws.com',
    ]) {
      await assertVerdict('passes', certificateOf({}, name).pem);
      await assertVerdict('passes', certificateOf({ hosts: ['other.test', name] }, 'other.test').pem);
    }
    for (const [region, domain, name] of [
      ['us-gov-east-1', 'amazonaws.com', 'sns-us-gov-west-1.amazonaws.com'],
      ['cn-north-1', 'amazonaws.com.cn', 'sns-cn-north-1.amazonaws.com.cn'],
    ]) {
      const TopicArn = `arn:aws-x:sns:${region}:123456789012:customers`;
      const SigningCertURL = `https://sns.${region}.${domain}/a.pem`;
      const files = { [SigningCertURL]: certificateOf({}, name).pem };
      const { verifier } = verifierOf(files, { topicArns: [TopicArn] });
      const message = topic.notification('{}', { TopicArn, SigningCertURL });
      assert.equal((await verifier.verify(message)).MessageId, message.MessageId);
    }
  });
});

describe('a certificate is not trusted', () => {
  test('that others have issued', async () => {
    const foreign = issue('Foreign', { isAuthority: true });
    await assertVerdict('certificate', certificateOf({ issuer: foreign }).pem);
    await assertVerdict('certificate', certificateOf({ issuer: foreign }).pem + foreign.pem);
    // The same name, and another key.
    const namesake = issue(authority.name, { isAuthority: true });
    await assertVerdict('certificate', certificateOf({ issuer: namesake }).pem + namesake.pem);
    // And another name with the same key.
    const renamed = issue('Renamed', { isAuthority: true, privateKey: authority.privateKey });
    await assertVerdict('certificate', certificateOf({ issuer: renamed }).pem + renamed.pem);
  });

  test('that has issued itself', async () => {
    const own = issue('sns.amazonaws.com', { isAuthority: true });
    await assertVerdict('certificate', own.pem);
    await assertVerdict('certificate', certificateOf({ issuer: own }).pem + own.pem);
  });

  test('of an issuer that may not issue', async () => {
    const leaf = issue('sns.amazonaws.com', { issuer: authority });
    await assertVerdict('certificate', certificateOf({ issuer: leaf }).pem + leaf.pem);
    const between = intermediateOf(authority, { to: Date.now() - DAY_MS / 2 });
    await assertVerdict('certificate', certificateOf({ issuer: between }).pem + between.pem);
    const later = intermediateOf(authority, { from: Date.now() + DAY_MS / 2 });
    await assertVerdict('certificate', certificateOf({ issuer: later }).pem + later.pem);
  });

  test('of a trusted authority whose time is over', async () => {
    const old = issue('Old', { isAuthority: true, to: Date.now() - DAY_MS / 2 });
    const { pem } = certificateOf({ issuer: old });
    await assertVerdict('certificate', pem, {}, { certificateAuthorities: [old.pem] });
  });

  test('before and after its time', async () => {
    await assertVerdict('certificate', certificateOf({ to: Date.now() - 1_000 }).pem);
    await assertVerdict('certificate', certificateOf({ from: Date.now() + 60_000 }).pem);
  });

  test('that expires while it is known', async () => {
    const files = { [CERTIFICATE_URL]: certificateOf({ to: Date.now() + 60_000 }).pem };
    const { verifier, clock } = verifierOf(files);
    assert.equal(typeof (await verifier.verify(topic.notification('1'))), 'object');
    clock.now += 120_000;
    assert.equal(await verifier.verify(topic.notification('2')), 'certificate');
  });

  test('issued to anybody else', async () => {
    for (const name of [
      'evil.test',
      'sns.amazonaws.com.evil.test',
      'sns.us-east-1.amazonaws.com',
      'sns-signing.us-east-1.amazonaws.com',
      'sns-us-gov-west-1.amazonaws.com',
      'sns.amazonaws.com.cn',
      'amazonaws.com',
      '*.amazonaws.com',
      's3.amazonaws.com',
    ]) {
      await assertVerdict('certificate', certificateOf({}, name).pem);
      // Where there are host names, the common name says nothing.
      await assertVerdict('certificate', certificateOf({ hosts: [name] }).pem);
    }
  });

  test('that can not be read', async () => {
    const { pem } = certificateOf();
    const lines = pem.split('\n');
    const damaged = [lines[0], lines[1].toLowerCase(), ...lines.slice(2)].join('\n');
    const empty = `${lines[0]}\n${lines.at(-2)}`;
    for (const garbage of [
      '',
      'garbage',
      '<html></html>',
      pem.slice(0, -40),
      damaged,
      empty,
      'a'.repeat(1e6),
    ]) {
      await assertVerdict('certificate', garbage);
    }
  });

  test('at the end of a chain without an end', async () => {
    let issuer = authority;
    let chain = '';
    for (let step = 0; step < 6; step += 1) {
      issuer = issue(`Authority ${step}`, { issuer, isAuthority: true });
      chain += issuer.pem;
    }
    await assertVerdict('certificate', certificateOf({ issuer }).pem + chain);
  });

  test('through authorities that somebody else publishes', async () => {
    const between = intermediateOf(authority);
    for (const issuerUrl of [
      'http://evil.test/ca.cer',
      'http://amazontrust.com.evil.test/ca.cer',
      'http://evil.test/crt.r2m01.amazontrust.com/ca.cer',
      'http://crt.amazontrust.com@evil.test/ca.cer',
      'http://evil-amazontrust.com/ca.cer',
      'http://169.254.169.254/latest/meta-data',
      'file:///etc/hostname',
      'ldap://crt.r2m01.amazontrust.com/ca.cer',
    ]) {
      const { pem } = certificateOf({ issuer: between, issuerUrl });
      assert.deepEqual(await assertVerdict('certificate', pem, { [issuerUrl]: between.der }), [
        CERTIFICATE_URL,
      ]);
    }
  });

  test('of the authority of a test, when nobody says so', async () => {
    await assertVerdict('certificate', certificateOf().pem, {}, { certificateAuthorities: undefined });
  });
});

describe('a certificate is fetched', () => {
  test('once for many messages, at the same time or later', async () => {
    const { verifier, fetched } = verifierOf({ [CERTIFICATE_URL]: certificateOf().pem });
    const messages = Array.from({ length: 10 }, (_, number) => topic.notification(String(number)));
    for (const verdict of await Promise.all(messages.map((message) => verifier.verify(message)))) {
      assert.equal(typeof verdict, 'object');
    }
    assert.equal(typeof (await verifier.verify(topic.notification('later'))), 'object');
    assert.deepEqual(fetched, [CERTIFICATE_URL]);
  });

  test('again after a failure', async () => {
    const files = {};
    const { verifier, fetched } = verifierOf(files);
    const message = topic.notification('{}');
    assert.equal(await verifier.verify(message), 'certificate-unavailable');
    files[CERTIFICATE_URL] = 'a page of a proxy';
    assert.equal(await verifier.verify(message), 'certificate');
    files[CERTIFICATE_URL] = certificateOf().pem;
    assert.equal(typeof (await verifier.verify(message)), 'object');
    assert.equal(fetched.length, 3);
  });

  test('again when there were too many others', async () => {
    const urls = Array.from({ length: 17 }, (_, number) => CERTIFICATE_URL.replace('.pem', `-${number}.pem`));
    const { pem } = certificateOf();
    const { verifier, fetched } = verifierOf(Object.fromEntries(urls.map((url) => [url, pem])));
    const verify = (SigningCertURL) => verifier.verify(topic.notification('{}', { SigningCertURL }));
    for (const url of urls) assert.equal(typeof (await verify(url)), 'object');
    assert.deepEqual(fetched, urls);
    await verify(urls.at(-1));
    assert.equal(fetched.length, 17);
    await verify(urls[0]);
    assert.equal(fetched.length, 18);
  });

  test('over HTTPS, without redirects, and not without an end', async (t) => {
    const requests = [];
    let respond = () => new Response(certificateOf().pem);
    t.mock.method(globalThis, 'fetch', async (url, options) => {
      requests.push([url, options.redirect, options.signal instanceof AbortSignal]);
      return respond();
    });
    const { verifier } = verifierOf({}, { fetchBytes: undefined });
    const message = topic.notification('{}');
    const endless = () => {
      const pull = (controller) => controller.enqueue(new Uint8Array(1_024));
      return new Response(new ReadableStream({ pull }));
    };
    for (const answer of [
      () => new Response(certificateOf().pem, { status: 404 }),
      () => new Response(certificateOf().pem, { status: 500 }),
      () => Promise.reject(new TypeError('fetch failed')),
      endless,
    ]) {
      respond = answer;
      assert.equal(await verifier.verify(message), 'certificate-unavailable');
    }
    respond = () => new Response(null, { status: 204 });
    assert.equal(await verifier.verify(message), 'certificate');
    respond = () => new Response(certificateOf().pem);
    const verified = await verifier.verify(topic.confirmation());
    assert.equal(verified.Type, 'SubscriptionConfirmation');
    assert.equal(requests.length, 6);
    for (const request of requests) assert.deepEqual(request, [CERTIFICATE_URL, 'error', true]);

    respond = () => new Response('<ConfirmSubscriptionResponse/>');
    assert.equal(await verifier.confirm(verified), true);
    assert.deepEqual(requests.at(-1), [SUBSCRIBE_URL, 'error', true]);
    respond = () => new Response('<ErrorResponse/>', { status: 403 });
    assert.equal(await verifier.confirm(verified), false);
  });
});

describe('a subscription is confirmed', () => {
  test('where the message was signed', async () => {
    const { verifier, fetched } = verifierOf({ [SUBSCRIBE_URL]: '<ConfirmSubscriptionResponse/>' });
    assert.equal(await verifier.confirm(topic.confirmation()), true);
    assert.deepEqual(fetched, [SUBSCRIBE_URL]);
  });

  test('nowhere else', async () => {
    const { verifier, fetched } = verifierOf({});
    for (const SubscribeURL of [
      undefined,
      '',
      'https://sns.eu-central-1.amazonaws.com',
      SUBSCRIBE_URL.replace('https', 'http'),
      SUBSCRIBE_URL.replace('eu-central-1', 'us-east-1'),
      SUBSCRIBE_URL.replace('.com/', '.com.evil.test/'),
      SUBSCRIBE_URL.replace('.com/', '.com@evil.test/'),
      SUBSCRIBE_URL.replace('.com/', '.com:8443/'),
      SUBSCRIBE_URL.replace('https://', 'https://user@'),
      `https://evil.test/${SUBSCRIBE_URL}`,
    ]) {
      assert.equal(await verifier.confirm({ ...topic.confirmation(), SubscribeURL }), false, SubscribeURL);
    }
    const SigningCertURL = 'https://evil.test/a.pem';
    const forged = { ...topic.confirmation(), SigningCertURL, SubscribeURL: 'https://evil.test/?confirm' };
    assert.equal(await verifier.confirm(forged), false);
    assert.deepEqual(fetched, []);
  });

  test('not if SNS says no', async () => {
    const { verifier, fetched } = verifierOf({});
    assert.equal(await verifier.confirm(topic.confirmation()), false);
    assert.deepEqual(fetched, [SUBSCRIBE_URL]);
  });
});
