"""What every adapter's test asks of a reading, against what was written."""

from __future__ import annotations

from corpora.stand_in import Made
from equime_loader.corpora.events import FrameFiles, Reading


def check(reading: Reading, made: Made) -> None:
    """Rows, events with their labels, moments and frames, and findings are those that were planned."""
    found = {(event.subject, event.clip, event.onset): event for event in reading.events}
    assert found.keys() == made.events.keys()
    assert reading.rows == made.rows
    for key, planned in made.events.items():
        event = found[key]
        assert (event.apex, event.offset) == (planned.apex, planned.offset), key
        if event.label is not None:
            assert event.label == planned.label, key
        assert isinstance(event.frames, FrameFiles)
        assert {event.onset, event.apex, event.offset} <= event.frames.paths.keys(), key
    check_findings(reading, made)


def check_findings(reading: Reading, made: Made) -> None:
    """Every planned fault is named with its reason, and no other costs an event."""
    lost = [finding for finding in reading.findings if finding.left_out]
    for name, reason in made.left_out.items():
        assert any(name in finding.name and reason in finding.reason for finding in lost), (name, lost)
    unplanned = [finding for finding in lost if not any(name in finding.name for name in made.left_out)]
    assert not unplanned
    for name, reason in made.noticed.items():
        said = [finding for finding in reading.findings if not finding.left_out and name in finding.name]
        assert any(reason in finding.reason for finding in said), (name, said)
