"""Names of feature sets: one spelling each, one folder each, helpful refusals."""

import random
import re

import pytest

from features.encoders import ENCODERS, GROUPS
from features.errors import UsageError
from features.names import canonical, parse, slug, split_names

CANONICAL = {
    "nss": "nss",
    "nss+content-lite": "content-lite+nss",  # in the order of the table
    " content-lite + nss ": "content-lite+nss",
    "content-lite[pool=levels]": "content-lite",  # defaults are left out
    "content-lite[scales=1:0.5]": "content-lite",
    "content-lite[scales=1.0:.50]": "content-lite",
    "content-lite[scales=1,pool=last]": "content-lite[pool=last,scales=1]",  # options sorted
    "content-lite[ pool=last , scales=1 ]": "content-lite[pool=last,scales=1]",
    "content-lite[]": "content-lite",
    "content-lite[pool=last]+content-lite": "content-lite+content-lite[pool=last]",
    "reiqa": "reiqa",
    "reiqa-content+reiqa-quality": "reiqa",
    "reiqa-quality": "reiqa-quality",
    "nss+reiqa": "reiqa+nss",
    "reiqa[scales=1]": "reiqa[scales=1]",
    "reiqa-content[scales=1]+reiqa-quality[scales=1]": "reiqa[scales=1]",
    "reiqa-content[scales=1]+reiqa-quality": "reiqa-quality+reiqa-content[scales=1]",
    "reiqa[head=yes]": "reiqa[head]",
    "reiqa[head]": "reiqa[head]",
    "reiqa[head=no]": "reiqa",
    "reiqa[scales=1]+reiqa": "reiqa+reiqa[scales=1]",
}


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical(text):
    """Every spelling has one canonical form, which is its own."""
    name = canonical(text)
    assert name == CANONICAL[text]
    assert canonical(name) == name
    assert parse(name) == parse(text)


def test_a_group_is_its_members():
    """The members come in the order of the table, each with the options given to the group."""
    for group, members in GROUPS.items():
        assert [request.name for request in parse(group)] == list(members)
    requests = parse("reiqa[head,scales=1]")
    assert [request.encoder.name for request in requests] == ["reiqa-quality", "reiqa-content"]
    assert [request.suffix for request in requests] == ["[head,scales=1]"] * 2
    assert requests[0].values == {"head": "yes", "pool": "last", "scales": "1"}


@pytest.mark.parametrize("seed", range(20))
def test_order_does_not_matter(seed):
    """All encoders in any order are one feature set."""
    order = random.Random(seed).sample(list(ENCODERS), len(ENCODERS))
    assert canonical("+".join(order)) == canonical("+".join(ENCODERS))


def test_split_leaves_brackets_alone():
    """A + joins only outside of brackets."""
    assert split_names("a[b=c+d]+e + f[g]") == ["a[b=c+d]", "e", "f[g]"]


def test_slug_is_a_safe_folder_name():
    """Different names have different slugs, none of which needs quoting on any system."""
    options = {
        "": [""],
        "reiqa": ["", "[head]", "[scales=1]", "[head,scales=1]", "[scales=1:0.25]"],
        "content-lite": ["", "[pool=last]", "[pool=last,scales=1]", "[scales=1:0.5:0.25]"],
    }
    names = {
        canonical(encoder + suffix)
        for encoder in [*ENCODERS, *GROUPS]
        for suffix in options.get(encoder, options["reiqa"] if "reiqa" in encoder else [""])
    }
    names |= {"content-lite+nss", "reiqa+nss"}
    slugs = {slug(name) for name in names}
    assert len(slugs) == len(names) > 20
    assert all(re.fullmatch(r"[a-z0-9][\w.+-]*", name, re.ASCII) for name in slugs)
    assert slug("reiqa[scales=1]") == "reiqa_scales-1"


ERRORS = {
    "content-light": "unknown encoder 'content-light': did you mean content-lite",
    "NSS": "unknown encoder 'NSS': did you mean nss",
    "zzz": "unknown encoder 'zzz': known are .*content-lite.*nss.*reiqa",
    "content-lite[pol=last]": "unknown option of content-lite 'pol': did you mean pool",
    "nss[pool=last]": "nss takes no options",
    "content-lite[pool=first]": r"content-lite\[pool=first\]: expected one of levels, last",
    "content-lite[pool]": r"content-lite\[pool\]: expected one of levels, last",
    "reiqa[head=maybe]": "expected one of no, yes",
    "reiqa[scales=0]": r"reiqa-quality\[scales=0\]: expected scales from 0.01 to 1",
    "reiqa[scales=2]": "expected scales",
    "reiqa[scales=nan]": "expected scales",
    "reiqa[scales=1::2]": "expected scales",
    "reiqa[scales=half]": "expected scales",
    "reiqa[scales]": "expected scales",
    "nss+nss": "asks for the same encoder twice",
    "reiqa+reiqa-quality": "asks for the same encoder twice",
    "content-lite+content-lite[pool=levels]": "asks for the same encoder twice",
    "": "cannot read the feature set ''",
    "nss+": r"cannot read the feature set 'nss\+'",
    "nss,reiqa": "cannot read the feature set",
    "reiqa[scales=1": "cannot read the feature set",
    "reiqa[a[b]]": "cannot read the feature set",
    "reiqa]": "cannot read the feature set",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    """A wrong name is an error of usage that says what would be right."""
    with pytest.raises(UsageError, match=ERRORS[text]) as error:
        parse(text)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_an_option_twice_and_an_absurd_scale_are_refused():
    """Neither the last of two values nor a scale without a pixel is taken silently."""
    with pytest.raises(UsageError, match="option pool stands there twice"):
        parse("content-lite[pool=last,pool=levels]")
    with pytest.raises(UsageError, match="from 0.01 to 1"):
        parse("content-lite[scales=1e-17]")
