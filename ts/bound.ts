/**
 * Methods and accessors that work wherever they are called from: taken off their object, through a `Proxy`, and on what
 * `Object.create()` made of it. Private members are the object's own, and nothing of these has them.
 */

/** Everything that `owner` declares, bound to `instance`. Of what a subclass overrides, the override. */
export function bindMembers(instance: object, owner: object): void {
  for (const name of Reflect.ownKeys(owner)) {
    if (name === 'constructor') continue;
    const member = { ...memberOf(instance, name), configurable: true };
    for (const part of ['value', 'get', 'set'] as const) {
      const given: unknown = member[part];
      if (typeof given === 'function') member[part] = given.bind(instance) as () => never;
    }
    Object.defineProperty(instance, name, member);
  }
}

/** The nearest one in the chain of prototypes. */
function memberOf(object: object, name: PropertyKey): PropertyDescriptor | undefined {
  const own = Object.getOwnPropertyDescriptor(object, name);
  const parent = Object.getPrototypeOf(object) as object | null;
  return own !== undefined || parent === null ? own : memberOf(parent, name);
}
