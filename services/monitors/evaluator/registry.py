"""Tells RuleService which series there are, so that people can make rules on them."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import grpc

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Definition
from monitors.mesh.channels import unavailable
from monitors.mesh.errors import MeshError, QuotaExceeded
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

log = logging.getLogger(__name__)

PAGE = 10_000
PAGE_BYTES = 3_500_000
OVERHEAD = 24
PATIENCE_SECONDS = 5.0

_FieldName = tuple[str, str, str]


class Registry:
    """RuleService's list of monitors and fields."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._rules = RuleServiceStub(channel)

    async def report(
        self, tenant: str, definitions: Sequence[Definition], *, wait_for_ready: bool = False
    ) -> list[FieldType | None]:
        """Registers series. Answers for each the type that its field has already if that's another one, else None.

        Raises ServiceUnavailable if RuleService is away or its disk is full, QuotaExceeded if it refuses more.
        """
        # Tags don't matter here, so that series which differ only in them are one.
        fields: dict[_FieldName, FieldType] = {}
        for key, kind in definitions:
            fields.setdefault((key.monitor, key.measurement, key.field), kind)
        known: dict[_FieldName, int] = {}
        for page in _pages(fields):
            request = pb.ReportSeriesRequest(tenant_id=tenant)
            for name in page:
                one = request.series.add(type=fields[name])
                one.key.monitor_id, one.key.measurement, one.key.field = name
            try:
                timeout = None if wait_for_ready else PATIENCE_SECONDS
                answer = await self._rules.ReportSeries(request, timeout=timeout, wait_for_ready=wait_for_ready)
            except grpc.aio.AioRpcError as error:
                raise _explained(error) from error
            known.update(zip(page, answer.types, strict=False))
        types: list[FieldType | None] = []
        for key, kind in definitions:
            name = key.monitor, key.measurement, key.field
            other = known.get(name) or fields[name]
            types.append(FieldType(other) if other != kind else None)
        return types


def _pages(names: Iterable[_FieldName]) -> Iterator[list[_FieldName]]:
    """The names in lists that fit into a message each."""
    page: list[_FieldName] = []
    size = 0
    for name in names:
        # A character takes four bytes at most.
        length = OVERHEAD + 4 * (len(name[0]) + len(name[1]) + len(name[2]))
        if len(page) == PAGE or size + length > PAGE_BYTES:
            yield page
            page, size = [], 0
        page.append(name)
        size += length
    if page:
        yield page


def _explained(error: grpc.aio.AioRpcError) -> MeshError:
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return QuotaExceeded(error.details() or "no more series are taken")
    log.warning("RuleService didn't take the new series: %s %s", error.code().name, error.details())
    return unavailable(error, "rules")
