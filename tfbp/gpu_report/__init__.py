"""The measurements of `tfbp gpu-report`, in separate processes, and the page that it writes.

plan.py        the measurements, the most important first
store.py       the results so far: one JSON file, written after every measurement
processes.py   a process that measures, and the requests to it
worker.py      that process
page.py        the Markdown page
agreement.py, steps.py, cross_entropy.py, parts.py   the four sections
contestants/   the programs that are timed
"""
