// Looking at how things are, so that no older answer is shown after a newer one.

/**
 * Return `look` as something to ask for at any time: one look at a time, and one more afterwards
 * for all who asked meanwhile, because what they heard of may not be in the one under way.
 *
 * @param {() => Promise<void>} look
 * @returns {() => Promise<void>} done when a look that began after it was asked for is shown
 */
export function oneAtATime(look) {
  let under = null;
  let after = null;

  function begin() {
    under = look().finally(() => {
      under = null;
    });
    return under;
  }

  return () => {
    if (!under) return begin();
    after ??= under
      .catch(() => {}) // whoever asked for that one is told
      .then(() => {
        after = null;
        return begin();
      });
    return after;
  };
}
