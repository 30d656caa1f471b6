"""The measurements of `tfbp gpu-report`, in processes of their own, and the page that it writes.

plan.py        what there is to measure, the most telling first
store.py       what is measured already: one JSON file, written after every measurement
processes.py   a process that measures, and the requests to it
worker.py      that process
page.py        the Markdown page
agreement.py, steps.py, cross_entropy.py, parts.py   the four sections
contestants/   who is timed
"""
