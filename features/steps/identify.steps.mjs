/** The language of the scenarios. */
import assert from 'node:assert/strict';

import { Given, Then, When } from '@cucumber/cucumber';

import {
  createSegmentClient,
  sendCustomerToSegment,
  sendCustomerToSegmentWithClient,
  transformCustomerToSegment,
} from '@companion/segment/commercetools';

const WRITE_KEY = 'write-key-of-the-scenarios';

Given('Segment is available', function () {
  return this.startSegment();
});

Given('Segment refuses connections', async function () {
  await this.segment.pause();
});

Given('Segment answers {int}', function (status) {
  this.segment.addFaults({ status, times: Infinity });
});

Given('the environment variable SEGMENT_WRITE_KEY is set', function () {
  process.env.SEGMENT_WRITE_KEY = WRITE_KEY;
});

Given('the environment variable SEGMENT_WRITE_KEY is not set', function () {
  delete process.env.SEGMENT_WRITE_KEY;
});

Given(
  'a transformed customer with the e-mail address {string}, the name {string} and this address:',
  function (email, name, table) {
    const [firstName, lastName] = name.split(' ');
    const [address] = table.hashes();
    this.payload = transformCustomerToSegment({ email, firstName, lastName, addresses: [address] });
  },
);

Given('a transformed customer with the e-mail address {string} only', function (email) {
  this.payload = transformCustomerToSegment({ email });
});

Given('a customer of Commercetools with this address:', function (table) {
  const [address] = table.hashes();
  this.customer = { id: 'customer-1', email: 'jane.doe@example.com', addresses: [address] };
});

Given('a transformed customer with the userId {string}', function (userId) {
  this.payload = { userId, traits: { email: userId } };
});

Given('a client whose identify throws the text {string}', function (text) {
  this.client = doubleOf(this, () => {
    throw text;
  });
});

Given('a client that records its calls', function () {
  this.client = doubleOf(this, () => {});
});

When('the customer is sent to Segment', async function () {
  this.result = await sendCustomerToSegment(this.payload);
});

When('the customer is transformed and sent to Segment', async function () {
  this.payload = transformCustomerToSegment(this.customer);
  this.result = await sendCustomerToSegment(this.payload);
});

When('the customer is sent to Segment by a client without retries', function () {
  return sendWithRetries(this, 0);
});

When('the customer is sent to Segment by a client with {int} retry/retries', function (maxRetries) {
  return sendWithRetries(this, maxRetries);
});

When('the customer is sent to Segment with that client', async function () {
  this.result = await sendCustomerToSegmentWithClient(this.client, this.payload);
});

Then('the result is a success', function () {
  assert.deepEqual(this.result, { success: true });
});

Then(/^the result is exactly (\{.*\})$/, function (json) {
  assert.deepEqual(this.result, JSON.parse(json));
});

Then('the result is a failure with the message {string} and the code {string}', function (message, code) {
  assert.deepEqual(this.result, { success: false, error: { message, code } });
});

Then('the result is a failure with the message {string} and no code', function (message) {
  assert.deepEqual(this.result, { success: false, error: { message } });
});

Then(
  'the result is a failure whose message begins with {string} and the code {string}',
  function (beginning, code) {
    assert.equal(this.result.success, false);
    const { message } = this.result.error;
    assert.ok(message.startsWith(beginning), message);
    assert.equal(this.result.error.code, code);
  },
);

Then('Segment has received an identify call for the userId {string}', function (userId) {
  assert.equal(this.identified.userId, userId);
});

Then(
  'its traits hold the email {string}, the firstName {string}, the lastName {string} and the name {string}',
  function (email, firstName, lastName, name) {
    const { address: _address, ...others } = this.identified.traits;
    assert.deepEqual(others, { email, firstName, lastName, name });
  },
);

Then('its traits hold nothing but the email {string}', function (email) {
  assert.deepEqual(this.identified.traits, { email });
});

Then('its traits hold this address:', function (table) {
  assert.deepEqual([this.identified.traits.address], table.hashes());
});

Then('Segment has received no request', function () {
  assert.equal(this.segment.requestCount, 0);
});

Then('Segment has received {int} requests', function (count) {
  assert.equal(this.segment.requestCount, count);
});

Then('the client was called with identify and then flush', function () {
  assert.deepEqual(this.calls, [['identify', this.payload], ['flush']]);
});

async function sendWithRetries(scenario, maxRetries) {
  scenario.client = createSegmentClient(WRITE_KEY, { host: scenario.segment.url, maxRetries });
  scenario.result = await sendCustomerToSegmentWithClient(scenario.client, scenario.payload);
}

/** A client of the stories' interface that sends nothing. */
function doubleOf(scenario, identify) {
  return {
    async identify(...args) {
      scenario.calls.push(['identify', ...args]);
      identify();
    },
    async flush(...args) {
      scenario.calls.push(['flush', ...args]);
    },
    async closeAndFlush() {},
  };
}
