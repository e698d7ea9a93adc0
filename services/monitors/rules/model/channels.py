"""What RuleService knows of the channels that rules tell."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from monitors.rules.model.quantities import listed


class ChannelState(IntEnum):
    """Whether a channel tells anybody; the values are those at rest."""

    WORKS = 0
    UNVERIFIED = 1
    OFF = 2


@dataclass(frozen=True, slots=True)
class KnownChannel:
    """A channel as the notifier mirrors it."""

    name: str
    kind: str
    is_default: bool
    state: ChannelState = ChannelState.WORKS


def with_known_states(
    channels: Collection[KnownChannel], unsaid: Collection[str], known: Collection[KnownChannel]
) -> list[KnownChannel]:
    """The channels, of which those whose state is `unsaid` keep the one that is known, unless they are of another kind
    now."""
    states = {(each.name, each.kind): each.state for each in known if each.name in unsaid}
    return [replace(each, state=states.get((each.name, each.kind), each.state)) for each in channels]


_WHY = {
    ChannelState.UNVERIFIED: (
        "no address of it is verified yet; whoever got its mail presses the button there, or "
        "`monitors channels verify {name} CODE` takes the code"
    ),
    ChannelState.OFF: "it's turned off; `monitors channels show {name}` says why, and a test that arrives turns it on",
}


def warnings_of_channels(notify: Sequence[str], channels: Collection[KnownChannel]) -> Iterator[str]:
    """Why fewer are told than a rule that names these channels means."""
    told = [each for each in channels if (each.name in notify if notify else each.is_default)]
    if not notify and not told:
        yield (
            "nobody will be told unless a route leads to a channel: the rule names none and there is no default one; "
            "name one in notify"
        )
    for each in told:
        if each.state in _WHY:
            yield f"the channel {each.name!r} tells nobody now: {_WHY[each.state].format(name=each.name)}"
    if len(told) > 1 and all(each.state in _WHY for each in told):
        yield f"nobody is told now: none of {listed([each.name for each in told])} works"
