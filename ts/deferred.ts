/** A promise and the ways to settle it. `Promise.withResolvers()`, which Node 20 has not. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

export function deferred<Value = void>(): Deferred<Value> {
  let [resolve, reject]: [(value: Value) => void, (error: unknown) => void] = [() => {}, () => {}];
  const promise = new Promise<Value>((keep, breakIt) => ([resolve, reject] = [keep, breakIt]));
  return { promise, resolve, reject };
}
