"""What the machine needs for as many calls with nothing around them, all kept in a database."""

from __future__ import annotations

import sqlite3
import sys
from concurrent.futures import ProcessPoolExecutor


def nothing(number: int) -> int:
    return number


if __name__ == "__main__":
    count = int(sys.argv[1])
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(nothing, range(count)))
    database = sqlite3.connect("floor.db")
    database.execute("CREATE TABLE result (number INTEGER PRIMARY KEY, value TEXT)")
    with database:
        database.executemany("INSERT INTO result VALUES (?, ?)", enumerate(map(str, results)))
    database.close()
