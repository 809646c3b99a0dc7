"""Reports of runs: tables, pictures and one page, from run folders alone."""

from training.reports.report import make_report, write_document, write_report

__all__ = ["make_report", "write_document", "write_report"]
