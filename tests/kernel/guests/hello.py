"""A web server of threads, processes that share a semaphore, a database file, and a timer: then it asks itself."""

import fcntl
import http.server
import mmap
import multiprocessing
import os
import select
import signal
import sqlite3
import tempfile
import threading
import urllib.request


def add(counter, lock):
    for _ in range(100):
        with lock:
            counter.value += 1


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.chdir("/abi")
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/hello.txt") as answer:
        print("http", answer.status, answer.read().decode().strip())

    counter, lock = multiprocessing.Value("i", 0), multiprocessing.Lock()
    workers = [multiprocessing.Process(target=add, args=(counter, lock)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("processes", counter.value)

    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(os.path.join(folder, "db")) as database:
            database.execute("pragma journal_mode = wal")
            database.execute("create table t (n)")
            database.executemany("insert into t values (?)", [(n,) for n in range(10)])
            print("sqlite", database.execute("select sum(n) from t").fetchone()[0])
        with open(os.path.join(folder, "map"), "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(4096)
            with mmap.mmap(file.fileno(), 4096) as shared:
                shared[0:3] = b"map"
                print("mmap", os.pread(file.fileno(), 3, 0).decode())

    poller, alarms = select.epoll(), []
    signal.signal(signal.SIGALRM, lambda *_: alarms.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not alarms:
        poller.poll(0.1)
    print("alarm", len(alarms))


if __name__ == "__main__":
    main()
