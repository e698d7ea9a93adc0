"""What rule files ask of the mesh: the rules of a namespace, and many changes at once."""

import re
from collections.abc import Iterator, Sequence

from monitors.cli.client import Mesh, new_request_id
from monitors.cli.failures import Failure
from monitors.cli.options import filter_of
from monitors.cli.rule_files.plan import Step
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule

PAGE = 1000
MOST_CHANGES, MOST_BYTES = 1000, 1024 * 1024
"""What goes into one request, and fits with its answer into a message."""
MOST_TOLD = 200
"""What goes into one that changes nothing: it needn't keep others waiting for long."""
NO_KEY = 'key=""'
_NUMBER = re.compile(r"changes\[(\d+)\]")


def rules_of(mesh: Mesh, namespace: str) -> list[Rule]:
    """The rules whose keys are of a namespace."""
    return list(_rules(mesh, filter_of({"key": f"{namespace}/*"})))


def rules_without_key(mesh: Mesh) -> list[Rule]:
    """The rules that were made by hand."""
    return list(_rules(mesh, NO_KEY))


def _rules(mesh: Mesh, terms: str) -> Iterator[Rule]:
    token = ""
    while True:
        request = pb.ListRulesRequest(page_size=PAGE, page_token=token, filter=terms)
        response = mesh.call(mesh.rules.ListRules, request)
        yield from response.rules
        token = response.next_page_token
        if not token:
            return


def told(mesh: Mesh, steps: Sequence[Step]) -> list[pb.RuleChangeResult]:
    """What steps would do, without doing it. Raises Failure."""
    results: list[pb.RuleChangeResult] = []
    for part in parts_of(steps, MOST_TOLD):
        results += _send(mesh, part, validate_only=True)
    return results


def made(mesh: Mesh, steps: Sequence[Step]) -> list[pb.RuleChangeResult]:
    """Does the steps, each request's all or none. Raises Failure, which says what was done before."""
    results: list[pb.RuleChangeResult] = []
    for part in parts_of(steps, MOST_CHANGES):
        try:
            results += _send(mesh, part, validate_only=False)
        except Failure as failure:
            if results:
                text = f"{failure}; {len(results)} of {len(steps)} changes were made before: apply again to go on"
                raise Failure(text, failure.code) from None
            raise
    return results


def _send(mesh: Mesh, steps: Sequence[Step], *, validate_only: bool) -> Sequence[pb.RuleChangeResult]:
    request = pb.BatchChangeRulesRequest(
        changes=[step.change for step in steps], validate_only=validate_only, request_id=new_request_id()
    )
    try:
        return mesh.call(mesh.rules.BatchChangeRules, request).results
    except Failure as failure:
        # The mesh counts; a person knows keys.
        text = _NUMBER.sub(lambda match: steps[int(match[1])].key, str(failure))
        raise Failure(text, failure.code) from None


def parts_of(steps: Sequence[Step], most: int) -> Iterator[list[Step]]:
    """The steps in requests of `most` changes, fewer where they are large."""
    part: list[Step] = []
    size = 0
    for step in steps:
        own = step.change.ByteSize()
        if part and (len(part) == most or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(step)
        size += own
    if part:
        yield part
