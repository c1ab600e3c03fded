"""Dates as people write them in five languages, with the one form that machines prefer."""

from __future__ import annotations

import datetime
import operator
from typing import Any

import numpy as np

LANGUAGES = ["English", "French", "German", "Spanish", "Italian"]
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)

_MONTHS = {
    "English": "January February March April May June July August September October November December",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "German": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
_SHORT = {
    "English": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "French": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "German": "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
    "Spanish": "ene feb mar abr may jun jul ago sept oct nov dic",
    "Italian": "gen feb mar apr mag giu lug ago set ott nov dic",
}
_DAYS = {
    "English": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "French": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "German": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "Spanish": "lunes martes miércoles jueves viernes sábado domingo",
    "Italian": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
}
# {w} day of the week, {d} day, {D} day with two digits, {o} day as an ordinal where the language writes one,
# {m} month, {s} its short form, {n} its number, {N} with two digits, {y} year, {t} its last two digits
_FORMS = {
    "English": [
        "{m} {d}, {y}", "{d} {m} {y}", "{w}, {d} {m} {y}", "{w}, {m} {d}, {y}", "the {o} of {m}, {y}", "{s} {d}, {y}",
        "{d} {s} {y}", "{d} {s} '{t}", "{m} {o}, {y}",
    ],
    "French": ["{o} {m} {y}", "le {o} {m} {y}", "{w} {o} {m} {y}", "{d} {s} {y}", "{D}/{N}/{y}"],
    "German": ["{d}. {m} {y}", "{w}, {d}. {m} {y}", "{w}, den {d}. {m} {y}", "{d}. {s} {y}", "{d}.{n}.{y}", "{D}.{N}.{t}"],
    "Spanish": ["{d} de {m} de {y}", "{w}, {d} de {m} de {y}", "el {d} de {m} de {y}", "{d} {s} {y}", "{D}-{N}-{y}"],
    "Italian": ["{o} {m} {y}", "{w} {o} {m} {y}", "{d} {s} {y}", "{D}/{N}/{y}"],
}  # fmt: skip
TEST_SHARE = 0.1


def make_dates(n: int = 5000, seed: int = 0) -> dict[str, Any]:
    """Written dates and what they are in the form YYYY-MM-DD.

    No two examples are the same text, and no calendar day of the test part occurs in training in any form, so that
    a model cannot answer by having seen the day.

    Parameters
    ----------
    n : int
        Number of examples, 10 to 100,000; nine tenths are for training.
    seed : int
        The same seed gives the same examples.

    Returns
    -------
    dict
        ``text_train`` and ``text_test`` (n,) str such as "le 3 mars 1987"; ``target_train`` and ``target_test``
        (n,) str such as "1987-03-03"; ``language_train`` and ``language_test`` (n,) int64 into
        ``language_names``.

    Raises
    ------
    ValueError
        If n is out of range.
    """
    n = operator.index(n)
    if not 10 <= n <= 100_000:
        raise ValueError(f"n must be between 10 and 100,000, not {n}.")
    rng = np.random.default_rng(seed)
    days = (LAST - FIRST).days + 1
    in_test = np.zeros(days, dtype=bool)
    in_test[rng.choice(days, round(TEST_SHARE * days), replace=False)] = True
    n_test = round(TEST_SHARE * n)
    columns: dict[str, Any] = {}
    for part, size, pool in (
        ("train", n - n_test, np.flatnonzero(~in_test)),
        ("test", n_test, np.flatnonzero(in_test)),
    ):
        seen: dict[str, tuple[str, int]] = {}
        while len(seen) < size:
            date = FIRST + datetime.timedelta(days=int(rng.choice(pool)))
            language = int(rng.integers(len(LANGUAGES)))
            forms = _FORMS[LANGUAGES[language]]
            text = write(date, LANGUAGES[language], forms[int(rng.integers(len(forms)))])
            seen.setdefault(text, (date.isoformat(), language))
        columns[f"text_{part}"] = np.array(list(seen))
        columns[f"target_{part}"] = np.array([target for target, _ in seen.values()])
        columns[f"language_{part}"] = np.array([language for _, language in seen.values()], dtype=np.int64)
    return {**columns, "language_names": LANGUAGES}


def write(date: datetime.date, language: str, form: str) -> str:
    """The date in one of the forms of the language."""
    return form.format(
        w=_DAYS[language].split()[date.weekday()],
        d=date.day,
        D=f"{date.day:02d}",
        o=_ordinal(date.day, language),
        m=_MONTHS[language].split()[date.month - 1],
        s=_SHORT[language].split()[date.month - 1],
        n=date.month,
        N=f"{date.month:02d}",
        y=date.year,
        t=f"{date.year % 100:02d}",
    )


def _ordinal(day: int, language: str) -> str:
    if language == "French":
        return "1er" if day == 1 else str(day)
    if language == "Italian":
        return "1º" if day == 1 else str(day)
    if language == "English":
        ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        return f"{day}{ending}"
    return str(day)
