"""Where lessons run: on this computer, or on the workers of a Dask cluster.

Both take jobs and yield each with its outcome as it is finished. Lessons that measure time come last, one
after the other, alone. Once `stopped` is set, what runs is ended and the rest is "interrupted".
"""

import contextlib
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lessons.job import Job, Outcome
from workbench.lessons.launch import Launcher
from workbench.machine.here import usable_cores

POLL = 0.2  # seconds between looks at `stopped`
INTERRUPTED = Outcome("interrupted", "The run was interrupted before this lesson was finished.")
Tell = Callable[[str, dict[str, Any]], None]  # which lesson, and what happened
Finished = Iterator[tuple[Job, Outcome]]


def local(
    jobs: Sequence[Job], at_once: int, tell: Tell, stopped: threading.Event, launcher: Launcher | None = None
) -> Finished:
    """Runs up to `at_once` lessons at a time, each in processes of its own."""
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor(at_once)
        stack.callback(pool.shutdown, cancel_futures=True)
        launcher = launcher or stack.enter_context(Launcher())  # ends before the pool: nothing to wait for
        for group in _turns(jobs):
            running = {pool.submit(launcher.run, job, partial(tell, job.lesson)): job for job in group}
            while running:
                done, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
                if stopped.is_set():
                    launcher.stop()
                for future in done:
                    yield running.pop(future), future.result()


def on_dask(
    jobs: Sequence[Job], at_once: int, tell: Tell, stopped: threading.Event, address: str | None
) -> Finished:
    """Runs lessons on the scheduler at `address`, or on a cluster of `at_once` processes started for it.

    A task is one lesson from start to end and brings back all that came of it, so no disk need be shared.
    The lesson of a worker that dies is run again on another one.
    """
    topic = f"workbench-{uuid.uuid4().hex}"
    with _client(at_once, address) as client:
        client.subscribe_topic(topic, lambda event: tell(event[1]["lesson"], event[1]))
        for group in _turns(jobs):
            finished: queue.SimpleQueue = queue.SimpleQueue()
            running = {
                client.submit(_task, asdict(job), topic, key=f"{topic}-{job.lesson}", pure=False): job
                for job in group
            }
            for future in running:
                future.add_done_callback(finished.put)
            while running:
                with contextlib.suppress(queue.Empty):
                    future = finished.get(timeout=POLL)
                    yield running.pop(future), _outcome(future)
                if stopped.is_set() and running:
                    client.cancel(list(running))
                    client.run(_leave, topic)
                    yield from ((job, INTERRUPTED) for job in running.values())
                    running.clear()
        client.run(_leave, topic)


def _turns(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """What may run at the same time: all that measure no time, then each of the others alone."""
    yield [job for job in jobs if not job.exclusive]
    yield from ([job] for job in jobs if job.exclusive)


@contextlib.contextmanager
def _client(at_once: int, address: str | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise WorkbenchError("Dask is not installed: pip install 'kernel-workbench[dask]'") from None
    with contextlib.ExitStack() as stack:
        target: Any = address
        if not address:
            cluster = LocalCluster(at_once, threads_per_worker=1, dashboard_address=None, silence_logs=50)
            target = stack.enter_context(cluster)
        try:
            client = Client(target, timeout=10, set_as_default=False)
        except (OSError, ValueError):
            raise WorkbenchError(
                f"an executor is local, dask or the address of a Dask scheduler, but {address!r} came"
            ) from None
        yield stack.enter_context(client)


def _outcome(future: Any) -> Outcome:
    """What a task brought back; one that Dask gave up (its workers died again and again) has crashed."""
    if future.status == "finished":
        return future.result()
    why = str(future.exception() if future.status == "error" else future.status).splitlines()[0]
    return Outcome("crashed", f"Dask gave this lesson up: {why}")


# On a Dask worker, by run: its warm process serves one lesson after the other.
_launchers: dict[str, Launcher] = {}
_launchers_lock = threading.Lock()


def _task(fields: dict[str, Any], topic: str) -> Outcome:
    """On a Dask worker: runs one lesson."""
    from distributed import get_worker

    worker = get_worker()
    job = Job.of_fields(fields)
    if not job.exclusive:  # a share of this machine, which need not be that of the one that asks
        job = replace(job, threads=max(1, min(job.threads, usable_cores() // worker.state.nthreads)))
    with _launchers_lock:
        launcher = _launchers[topic] = _launchers.get(topic) or Launcher()

    def tell(event: dict[str, Any]) -> None:
        worker.log_event(topic, {**event, "lesson": job.lesson})

    return launcher.run(job, tell)


def _leave(topic: str) -> None:
    """On a Dask worker: ends what still runs there, and the warm process."""
    with _launchers_lock:
        launcher = _launchers.pop(topic, None)
    if launcher:
        with launcher:
            launcher.stop()
