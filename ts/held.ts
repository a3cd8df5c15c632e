/**
 * Events of the turn of the event loop that is going on. The engine lets none of them leave before it is over, so that a
 * plugin which is registered in the same turn sees them all: it may be there to take personal data out.
 */
import { atTurnEnd } from './clock.js';
import type { Message } from './message.js';
import type { Engine } from './native.js';
import type { SegmentEvent } from './params.js';
import { eventFrom, snapshotOf } from './snapshot.js';

/** Of so many calls of a turn the caller's own values are known; of later ones what JSON made of them. */
const MOST_REMEMBERED = 16;

/** Whoever looks at the counters so often in one turn waits for the delivery there and then: for him the turn is over. */
const MOST_LOOKS = 1_000;

/** An event that the engine gave back. */
export interface Recalled {
  readonly sequence: number;
  readonly event: SegmentEvent;
  /** It came through the plugins of its time already. */
  readonly hasPassed: boolean;
}

/** What of one client is held. */
export class HeldEvents {
  readonly #engine: Engine;
  /** What was passed, the text that was made of it, and its sequence: lists that are filled again in each turn. */
  readonly #messages: (Message | undefined)[] = [];
  readonly #texts: (string | undefined)[] = [];
  readonly #sequences: number[] = [];
  #remembered = 0;
  readonly #passed = new Set<number>();
  readonly #afterwards: (() => void)[] = [];
  readonly #atTurnEnd = () => this.#end();
  #isOpen = false;
  #looks = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** An event is about to be given to the engine, which holds it to the end of the turn. */
  begin(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    atTurnEnd(this.#atTurnEnd);
  }

  /** It was accepted. */
  remember(sequence: number, message: Message, text: string): void {
    const index = this.#remembered;
    if (index === MOST_REMEMBERED) return;
    this.#messages[index] = message;
    this.#texts[index] = text;
    this.#sequences[index] = sequence;
    this.#remembered = index + 1;
  }

  /** An event that plugins have seen was accepted behind those that are held. */
  passed(sequence: number): void {
    if (this.#isOpen) this.#passed.add(sequence);
  }

  /** Calls back once nothing is held any more, which may be at once. */
  afterwards(call: () => void): void {
    if (this.#isOpen) this.#afterwards.push(call);
    else call();
  }

  /** Somebody looks at the counters. */
  look(): void {
    if (!this.#isOpen) return;
    this.#looks += 1;
    if (this.#looks >= MOST_LOOKS) this.#letGo();
  }

  /** Takes back what is held, oldest first. */
  recall(): Recalled[] {
    if (!this.#isOpen) return [];
    const recalled = JSON.parse(this.#engine.recall()) as [number, SegmentEvent][];
    return recalled.map(([sequence, event]) => {
      const hasPassed = this.#passed.has(sequence);
      return { sequence, event: this.#asPassed(sequence, event), hasPassed };
    });
  }

  /** With the values of the caller, unless they were changed since. */
  #asPassed(sequence: number, sealed: SegmentEvent): SegmentEvent {
    const { _metadata, context: { library: _library, ...context } = {}, ...event } = sealed;
    const given = eventFrom({ ...event, context });
    const index = this.#sequences.indexOf(sequence);
    const [message, text] = [this.#messages[index], this.#texts[index]];
    if (message === undefined) return given;
    try {
      const copy = snapshotOf(message);
      return JSON.stringify(copy) === text ? { ...given, ...copy } : given;
    } catch {
      return given;
    }
  }

  #end(): void {
    this.#isOpen = false;
    this.#looks = 0;
    this.#messages.fill(undefined, 0, this.#remembered);
    this.#texts.fill(undefined, 0, this.#remembered);
    this.#sequences.fill(0, 0, this.#remembered);
    this.#remembered = 0;
    this.#passed.clear();
    this.#letGo();
  }

  #letGo(): void {
    this.#engine.letGo();
    for (const call of this.#afterwards.splice(0)) call();
  }
}
