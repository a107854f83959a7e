"""Looks that overlap: what a page shows is never older than what it showed before."""

import pytest

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.xdist_group("browser")

# Three look at once; the server answers when it is told to.
LOOKS = """async () => {
  const { oneAtATime } = await import("/static/app/looks.js");
  const answers = [];
  const seen = [];
  let state = "called";
  const look = oneAtATime(() => {
    const then = state;
    return new Promise((resolve, reject) => {
      answers.push((error) => (error ? reject(error) : resolve(seen.push(then))));
    });
  });
  const first = look();
  state = "parked";
  const [second, third] = [look(), look()];
  const begun = answers.length;
  answers[0](FIRST);
  const failed = await first.then(() => null, (error) => error.message);
  await new Promise((resolve) => setTimeout(resolve));
  answers[1]();
  await Promise.all([second, third]);
  const later = look();
  answers[2]();
  await later;
  return { begun, failed, seen };
}"""


@pytest.mark.parametrize(
    ("first", "failed", "seen"),
    [
        ("null", None, ["called", "parked", "parked"]),
        ("new Error('away')", "away", ["parked", "parked"]),
    ],
)
def test_who_asks_meanwhile_is_answered_by_a_later_look(
    open_page: OpenPage, first: str, failed: str | None, seen: list[str]
) -> None:
    told = open_page("/").page.evaluate(LOOKS.replace("FIRST", first))

    assert told == {"begun": 1, "failed": failed, "seen": seen}
