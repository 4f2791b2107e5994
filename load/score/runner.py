"""Runner of the score. It runs all tasks of a plan on all cores."""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from load.score.simulation import BaselineSource
from load.score.suites import SUITES, ScorePlan, ScoreResults, ScoreTask, TaskKey


def run_suites(plan: ScorePlan, on_progress: Callable[[int, int], None]) -> ScoreResults:
    """Run all tasks of a plan. Tasks that share a baseline run in one process.

    ``on_progress`` receives the number of finished tasks and the total number of tasks.
    """
    started_s = time.monotonic()
    # The recorded streams take longest. They start first, so no process runs alone at the end.
    names = sorted(plan.suites, key=lambda name: name != "real")
    tasks = [task for name in names for task in SUITES[name].tasks(plan)]
    groups: dict[BaselineSource | str, list[ScoreTask]] = {}
    for task in tasks:
        groups.setdefault(task.group, []).append(task)
    results: dict[TaskKey, Any] = {}
    processor_s: defaultdict[str, float] = defaultdict(float)
    on_progress(0, len(tasks))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run_group, group): group for group in groups.values()}
        for future in as_completed(futures):
            for task, (result, seconds) in zip(futures[future], future.result(), strict=True):
                results[task.key] = result
                processor_s[task.key[0]] += seconds
            on_progress(len(results), len(tasks))
    by_key = {task.key: results[task.key] for task in tasks}
    return ScoreResults(plan, by_key, dict(processor_s), time.monotonic() - started_s)


def _run_group(tasks: list[ScoreTask]) -> list[tuple[Any, float]]:
    """Run tasks sequentially, and return their results and their processor time in seconds."""
    results = []
    for task in tasks:
        started_s = time.process_time()
        result = task.run()
        results.append((result, time.process_time() - started_s))
    return results
