"""What the push endpoint says where points are read from a source."""

from monitors.evaluator.intake import Written
from monitors.evaluator.points import Submission
from monitors.mesh.errors import MeshError

TEXT = (
    "this mesh reads points from an InfluxDB and takes none itself; write to that InfluxDB, from where they are read "
    "and evaluated a few seconds later"
)


class PointsGoElsewhere(MeshError):
    """Points are to be written to the source."""

    code, reason = "FAILED_PRECONDITION", "WRONG_STATE"

    def __init__(self) -> None:
        super().__init__(TEXT, metadata={"field": "points"})


class Elsewhere:
    """A Sink that takes nothing. What counts as accepted is what was read."""

    def __init__(self) -> None:
        self.accepted_count = self.refused_count = 0
        self.problem = ""

    async def write(self, submission: Submission) -> Written:
        """Raises PointsGoElsewhere."""
        self.refused_count += len(submission.points)
        raise PointsGoElsewhere
