"""What a page and a push of a JSON feed are taken for."""

import pytest

from outlast.sync_engine import FeedEvent, JsonFeed


@pytest.mark.parametrize(
    ("page", "cursor"),
    [
        (b'{"events": [{"seq": 7}, {"seq": 8}]}', "8"),
        (b'{"events": [{"cursor": "x"}], "cursor": ""}', "x"),
        (b'{"events": [{"cursor": "x"}], "cursor": "y"}', "y"),
        (b'{"events": []}', None),
        (b"", None),
    ],
)
def test_where_to_go_on(page, cursor):
    """A page that does not say it is followed behind its last event, or else nothing would ever be behind us."""
    assert JsonFeed().page(page).cursor == cursor


@pytest.mark.parametrize("seq", ["true", "18.5", str(1 << 63), "-" + str(1 << 63), "1" + "0" * 40])
def test_places_that_are_none(seq):
    """What no database could hold is no place; the push is a hint, then."""
    assert JsonFeed().push(f'{{"seq": {seq}, "entity": "a"}}', "9") == FeedEvent(cursor="9", entity="a")


@pytest.mark.parametrize("name", ["entity", "cursor", "key"])
def test_text_that_is_no_unicode(name):
    """Half a character can be stored nowhere and sent nowhere, so the page is told to be none."""
    with pytest.raises(ValueError, match="surrogates"):
        JsonFeed().page(b'{"events": [{"seq": 1, "%s": "\\ud800"}]}' % name.encode())
