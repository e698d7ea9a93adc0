"""What of a backlog is still worth telling: after an outage people want to know how things stand, and not all that has
happened meanwhile.

Only what the receiver surely never got is left out, and only if something newer in the same stream says more: an
episode that a later one has overtaken, and a change of severity that a later one, or the end, has overtaken. The last
episode is always told, with its firing and its end in this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from monitors.mesh.times import MINUTE
from monitors.notifier.model.message import Kind

OVERDUE = MINUTE
"""What has waited so long after it was due waits because of an outage."""
LATER_EPISODE = "it never arrived, and by now the alert is over and it fires anew, which is told instead"
NEWER = "it never arrived, and by now something newer is known of the alert, which is told instead"
_PASSING = (Kind.SEVERITY_CHANGED, Kind.STILL_FIRING)
_REPLACES = (Kind.SEVERITY_CHANGED, Kind.RESOLVED)


@dataclass(frozen=True)
class Waiting:
    """Something that waits to be told, or to be tried again. `may_be_known` says that the receiver may have it."""

    id: str
    alert_id: str
    kind: Kind
    may_be_known: bool


def is_backlog(attempts: int, due_at: int, now: int) -> bool:
    """Whether what is about to be told was held up by an outage: of its endpoint, or of ourselves."""
    return attempts > 0 or now - due_at >= OVERDUE


def overtaken(stream: Sequence[Waiting]) -> dict[str, str]:
    """Of all that waits in a stream, in its order, what needn't be told any more: the reasons by id."""
    reasons: dict[str, str] = {}
    for alert in dict.fromkeys(one.alert_id for one in stream):
        places = [place for place, one in enumerate(stream) if one.alert_id == alert]
        episode = [stream[place] for place in places]
        fires_anew = any(one.kind is Kind.FIRING for one in stream[places[-1] + 1 :])
        # If its firing isn't among these, it was told, and so its end is awaited.
        is_unknown = episode[0].kind is Kind.FIRING and not any(one.may_be_known for one in episode)
        if fires_anew and is_unknown:
            reasons |= {one.id: LATER_EPISODE for one in episode}
        else:
            reasons |= {
                one.id: NEWER
                for number, one in enumerate(episode)
                if one.kind in _PASSING
                and not one.may_be_known
                and any(later.kind in _REPLACES for later in episode[number + 1 :])
            }
    return reasons
