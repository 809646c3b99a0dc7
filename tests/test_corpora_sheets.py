"""Reading annotation sheets: formats, headers, text around them, bounds."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import openpyxl
import pytest
from corpora.stand_in import write_csv, write_xls, write_xlsx

from equime_loader.corpora import sheets
from equime_loader.corpora.sheets import Form, Row, SheetError, find_table, header_key, read_sheets

ROWS = [["Text above"], [], ["Subject", None, "Onset Frame"], ["01", None, 5], [2, "x", 7.5], [None, "a footer"]]
FORM = Form("plain", {"subject": ("Subject",), "onset": ("OnsetFrame", "Onset")})


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.csv", "A.XLSX"])
def test_formats_read_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".csv":
        write_csv(path, ROWS)
    else:
        (write_xls if path.suffix == ".xls" else write_xlsx)(path, {"first": ROWS})
    (sheet,) = read_sheets(path)
    # Blank lines keep their numbers; whole numbers have no point, text keeps its zeros.
    assert [row.line for row in sheet.rows] == [1, 3, 4, 5, 6]
    assert sheet.rows[2].cells == ("01", "", "5") and sheet.rows[3].cells == ("2", "x", "7.5")
    table = find_table([sheet], [FORM])
    assert [(record["subject"], record["onset"], record.line) for record in table.records] == [
        ("01", "5", 4),
        ("2", "7.5", 5),
    ]
    assert [row.line for row in table.text] == [6]
    where = f"{name}, line 4" if path.suffix == ".csv" else f"{name}, sheet first, line 4"
    assert table.records[0].where == where and table.records[0].get("offset") == ""


def test_cells_as_they_are_on_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_xlsx(path, {"s": [["  two\n words ", 401.0, True, 1e20, datetime.date(2023, 7, 18)]]})
    assert read_sheets(path)[0].rows == (Row(1, ("two words", "401", "True", "100000000000000000000", "2023-07-18")),)


def test_headers_are_compared_without_case_spaces_and_signs() -> None:
    assert header_key("Onset Frame") == header_key("onset_frame ") == header_key("OnsetFrame")


def test_forms_are_told_apart_by_their_headers(tmp_path: Path) -> None:
    new = Form("new", {**FORM.columns, "more": ("More",)})
    optional = Form("old", FORM.columns, {"more": ("More",)})
    for columns, name in ((["Subject", "Onset", "More"], "new"), (["Onset", "Subject"], "old")):
        write_csv(tmp_path / "a.csv", [columns, ["1", "2", "3"][: len(columns)]])
        table = find_table(read_sheets(tmp_path / "a.csv"), [new, optional])
        assert table.form.name == name and table.version == f"a.csv, {name}"


def test_sheets_without_a_header_and_files_of_several(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    write_xlsx(path, {"notes": [["a", "b"]], "data": [["p1", 4], ["words"], ["p2", 9]]})
    form = Form("none", positions={"subject": 0, "onset": 1}, fits=lambda cells: cells["onset"].isdigit())
    table = find_table(read_sheets(path), [form])
    assert [record["subject"] for record in table.records] == ["p1", "p2"] and table.sheet.name == "data"
    assert [row.cells[0] for row in table.text] == ["words"]


def test_a_csv_of_a_chinese_system_and_another_separator(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Subject;Onset\n惊讶;4\n".encode("gb18030"))
    assert [record["subject"] for record in find_table(read_sheets(path), [FORM]).records] == ["惊讶"]


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, match in (("none.xlsx", "none.xlsx: cannot be read"), ("a.txt", "must be one of")):
        if name == "a.txt":
            (tmp_path / name).write_text("a")
        with pytest.raises(SheetError, match=match):
            read_sheets(tmp_path / name)
    for name, data in (("a.xlsx", b"PK\3\4 damaged"), ("b.xls", b"\xd0\xcf\x11\xe0 damaged"), ("c.xlsx", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SheetError, match=f"{name}: "):
            read_sheets(tmp_path / name)
    write_csv(tmp_path / "a.csv", [["Subject", "Place"]])
    with pytest.raises(SheetError, match=r"a\.csv: no sheet has the columns Subject, OnsetFrame"):
        find_table(read_sheets(tmp_path / "a.csv"), [FORM])
    with pytest.raises(SheetError, match="no file: no sheet"):
        find_table([], [FORM])
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    write_csv(tmp_path / "long.csv", [["a"]] * 4)
    write_xlsx(tmp_path / "long.xlsx", {"s": [["a"]] * 4})
    for name in ("long.csv", "long.xlsx"):
        with pytest.raises(SheetError, match="4 rows and 1 columns, at most 3"):
            read_sheets(tmp_path / name)
    monkeypatch.setattr(sheets, "MAX_UNPACKED", 10)
    with pytest.raises(SheetError, match="unpacks to more than 10 bytes"):
        read_sheets(tmp_path / "long.xlsx")
    monkeypatch.setattr(sheets, "MAX_FILE", 10)
    with pytest.raises(SheetError, match="at most 10 are read"):
        read_sheets(tmp_path / "long.xlsx")


@pytest.mark.parametrize("cell", [(1, sheets.MAX_COLUMNS + 1), (1_048_576, 16_384), (20_000, 900)])
def test_a_cell_far_away_is_refused_before_room_is_made_for_it(tmp_path: Path, cell: tuple[int, int]) -> None:
    book = openpyxl.Workbook()
    book.active.cell(*cell, "far")
    book.save(tmp_path / "wide.xlsx")
    with pytest.raises(SheetError, match=f"wide.xlsx: {cell[0]:,} rows and {cell[1]:,} columns, at most"):
        read_sheets(tmp_path / "wide.xlsx")


def test_a_formatted_cell_far_away_holds_nothing(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Subject", "Onset"])
    book.active.cell(1_048_576, 16_384).font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "a.xlsx")
    assert [row.cells for row in read_sheets(tmp_path / "a.xlsx")[0].rows] == [("Subject", "Onset")]


_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _book(path: Path, row: str, *, part: str = "xl/worksheets/sheet1.xml", head: str = "", prefix: str = "") -> None:
    """A workbook of one sheet, which lies at `part`, with one row."""
    x, xmlns = (f"{prefix}:", f"xmlns:{prefix}") if prefix else ("", "xmlns")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        relation = f'<Relationship Id="a" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{_PACKAGE}">{relation}</Relationships>')
        sheets = '<sheets><sheet name="a" sheetId="1" r:id="b"/></sheets>'
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{sheets}</workbook>')
        relation = f'<Relationship Id="b" Type="{_OFFICE}/worksheet" Target="{part.removeprefix("xl/")}"/>'
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{_PACKAGE}">{relation}</Relationships>')
        body = f"<{x}sheetData>{row}</{x}sheetData>"
        archive.writestr(part, f'<?xml version="1.0"?>{head}<{x}worksheet {xmlns}="{_MAIN}">{body}</{x}worksheet>')


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ("<row><c r='XFD1048576'><v>1</v></c></row>", {}),
        ('<row><c\nr="XFD1048576"><v>1</v></c></row>', {}),
        ('<row><c t="a/b" r="XFD1048576"><v>1</v></c></row>', {}),
        ('<row r="1048576"><c r="XFC1048576"/><c><v>1</v></c></row>', {}),
        ('<row><c r="XFD1048576"><v>1</v></c></row>', {"part": "xl/other/s.xml"}),
        ('<row><c r="XFD1048576"><v>1</v></c></row>', {"part": "xl/styles.xml"}),
        ('<x:row><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>', {"prefix": "x"}),
    ],
)
def test_a_cell_far_away_is_found_however_it_is_written(tmp_path: Path, row: str, options: dict[str, str]) -> None:
    _book(tmp_path / "a.xlsx", row, **options)
    with pytest.raises(SheetError, match="1,048,576 rows and 16,384 columns, at most"):
        read_sheets(tmp_path / "a.xlsx")


def test_parts_that_are_no_plain_xml_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    cell = '<row><c r="A1"><v>1</v></c></row>'
    _book(path, cell)
    assert read_sheets(path)[0].rows == (Row(1, ("1",)),)
    for row, options, why in (
        (cell, {"head": '<!DOCTYPE a [<!ENTITY b "c">]>'}, "declares entities"),
        ("<row>", {}, "is no XML"),
        (cell, {"part": "xl/worksheets/sheet1.bin"}, "in a part that is no .xml"),
    ):
        _book(path, row, **options)
        with pytest.raises(SheetError, match=rf"a\.xlsx: .*{why}"):
            read_sheets(path)
