/** What one scenario has to itself: a Segment, an environment, a customer and a result. */
import { After, Before, World, setWorldConstructor } from '@cucumber/cucumber';

import { getSegmentClientFromEnvironment } from '@companion/segment/commercetools';
import { startFakeSegment } from '@companion/segment/testing';

const OF_SEGMENT = /^SEGMENT_/;

class Scenario extends World {
  /** What is sent. */
  payload;
  /** What sending it came to. */
  result;
  /** The client of the scenario; without one it is the environment's. */
  client;
  /** The calls of an injected client. */
  calls = [];
  segment;
  /** What stood in the environment before. */
  #environment;

  begin() {
    this.#environment = takeEnvironment();
  }

  async startSegment() {
    this.segment = await startFakeSegment();
    process.env.SEGMENT_HOST = this.segment.url;
  }

  async end() {
    if (process.env.SEGMENT_WRITE_KEY !== undefined) await getSegmentClientFromEnvironment().closeAndFlush();
    await this.client?.closeAndFlush();
    await this.segment?.close();
    takeEnvironment();
    Object.assign(process.env, this.#environment);
  }

  /** The one identify call that arrived. */
  get identified() {
    const [event, ...others] = this.segment.events;
    if (event?.type !== 'identify' || others.length > 0) {
      throw new Error(`Segment was to receive one identify call and got ${this.segment.eventCount} events`);
    }
    return event;
  }
}

/** Removes the variables that the package reads, and returns them. */
function takeEnvironment() {
  const taken = Object.entries(process.env).filter(([name]) => OF_SEGMENT.test(name));
  for (const [name] of taken) Reflect.deleteProperty(process.env, name);
  return Object.fromEntries(taken);
}

setWorldConstructor(Scenario);
Before(function () {
  this.begin();
});
After(function () {
  return this.end();
});
